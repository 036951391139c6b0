package gateway

import (
	"context"
	"errors"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// errDoorClosed is returned when a request comes in while the gateway ends.
var errDoorClosed = errors.New("the gateway is closing")

// frontDoor is a Watermill subscriber whose messages are verified HTTP requests. It has one topic and
// one subscription.
type frontDoor struct {
	in        chan *message.Message
	closing   chan struct{}
	closeOnce sync.Once
}

func newFrontDoor() *frontDoor {
	return &frontDoor{in: make(chan *message.Message), closing: make(chan struct{})}
}

// enter hands a message to the router. It returns when the router took it, or an error when it never
// will.
func (d *frontDoor) enter(ctx context.Context, msg *message.Message) error {
	select {
	case d.in <- msg:
		return nil
	case <-d.closing:
		return errDoorClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Subscribe returns the messages that enter, until ctx ends or the door is closed.
func (d *frontDoor) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	go func() {
		defer close(out)
		for {
			select {
			case msg := <-d.in:
				select {
				case out <- msg:
				case <-d.closing:
					msg.Nack()
					return
				case <-ctx.Done():
					msg.Nack()
					return
				}
			case <-d.closing:
				return
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

// Close ends the subscription.
func (d *frontDoor) Close() error {
	d.closeOnce.Do(func() { close(d.closing) })
	return nil
}

// closed tells whether Close was called.
func (d *frontDoor) closed() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}
