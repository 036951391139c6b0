package dev

import (
	"sync"
	"time"

	smssim "github.com/handoff-dev/handoff/connectors/sms/sim"
	twiliosim "github.com/handoff-dev/handoff/connectors/twilio/sim"
)

// Text is one text that reached a customer.
type Text struct {
	Body string
	// At is when it was first seen at the phone, at most a few tens of milliseconds after it came.
	At time.Time
}

// phones keeps what reached customers, by customer and shop's number, so that thousands of waiting
// people do not each go through everything that was ever sent.
type phones struct {
	mu    sync.Mutex
	texts map[[2]string][]Text
	stop  chan struct{}
	ended sync.WaitGroup
}

// lookEvery is the least time between two looks at a stand-in.
const lookEvery = 20 * time.Millisecond

func watchPhones(twilio *twiliosim.Sim, sms *smssim.Sim) *phones {
	p := &phones{texts: map[[2]string][]Text{}, stop: make(chan struct{})}
	seen, seenSMS := 0, 0
	p.watch(twilio.Changed, func() {
		fresh := twilio.MessagesFrom(seen)
		for _, m := range fresh {
			if !m.Inbound() {
				p.add(m.To, m.From, m.Body)
			}
		}
		seen += len(fresh)
	})
	p.watch(sms.Changed, func() {
		fresh := sms.MessagesFrom(seenSMS)
		for _, m := range fresh {
			if !m.Inbound {
				p.add(m.To, m.From, m.Text)
			}
		}
		seenSMS += len(fresh)
	})
	return p
}

// watch looks at a stand-in after every change, until close.
func (p *phones) watch(changed func() <-chan struct{}, look func()) {
	p.ended.Go(func() {
		for {
			next := changed()
			look()
			select {
			case <-p.stop:
				return
			case <-next:
			}
			select {
			case <-p.stop:
				return
			case <-time.After(lookEvery):
			}
		}
	})
}

func (p *phones) add(customer, number, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := [2]string{customer, number}
	p.texts[k] = append(p.texts[k], Text{Body: body, At: time.Now()})
}

func (p *phones) close() {
	close(p.stop)
	p.ended.Wait()
}

// TextsTo returns the texts that reached a customer from a shop's number, in order. The caller must
// not change them.
func (o *Outside) TextsTo(customer, number string) []Text {
	o.phones.mu.Lock()
	defer o.phones.mu.Unlock()
	return o.phones.texts[[2]string{customer, number}]
}
