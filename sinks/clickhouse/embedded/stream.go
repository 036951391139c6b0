package embedded

import (
	"context"
	"errors"
	"io"
	"runtime"
	"unsafe"
)

// insertChunk is how much of a request's body is handed over at once, in
// bytes. The library blocks when the engine falls behind.
const insertChunk = 1 << 20

// insert runs an INSERT whose data is read from body in the named format. The
// statement carries neither a FORMAT clause nor data. When body fails or ctx
// ends, the insert is cancelled; as at a server, blocks that were already
// written stay, which is why batches carry a deduplication token.
func (s *session) insert(ctx context.Context, sql, format string, params []param, body io.Reader) (outcome, error) {
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qLen := cText(&pin, sql)
	f, fLen := cText(&pin, format)
	p := newCParams(&pin, params)
	stream := s.lib.insert(s.conn(), q, qLen, f, fLen, p.pNames, p.pNameLens, p.pValues, p.pValuesLens, uintptr(len(params)))
	runtime.KeepAlive(p)
	if stream == nil {
		return outcome{}, parseEngineError("the engine opened no insert")
	}
	defer s.lib.insertDestroy(stream)
	if text := s.lib.insertError(stream); text != nil {
		return outcome{}, parseEngineError(goText(text))
	}
	if err := s.feed(ctx, stream, body); err != nil {
		s.lib.insertCancel(stream)
		return outcome{}, err
	}
	return s.lib.take(s.lib.insertDone(stream))
}

// feed appends body to an open insert. A refusal by the engine is not
// returned here: closing the insert reports it with its code.
func (s *session) feed(ctx context.Context, stream unsafe.Pointer, body io.Reader) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	buf := make([]byte, insertChunk)
	pin.Pin(&buf[0])
	for {
		n, err := fill(body, buf)
		if n > 0 && s.lib.insertAppend(stream, unsafe.Pointer(&buf[0]), uintptr(n)) != 0 {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return ctx.Err()
		}
		if err != nil {
			return failf(codeForeign, "Cannot read the data of the INSERT: %v", err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// fill reads until buf is full or body ends. Unlike io.ReadFull it keeps the
// end of the body (io.EOF) apart from a body that was cut off, which the HTTP
// server reports as io.ErrUnexpectedEOF: half a batch must not be committed.
func fill(body io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var read int
		read, err = body.Read(buf[n:])
		n += read
	}
	return n, err
}

// stream runs a reading statement and hands every block of its Native output
// to emit as it comes, so that memory stays bounded. The bytes are valid
// during the call only. When emit fails or ctx ends the query is cancelled.
func (s *session) stream(ctx context.Context, sql string, params []param, emit func([]byte) error) error {
	var pin runtime.Pinner
	defer pin.Unpin()
	q, qLen := cText(&pin, sql)
	f, fLen := cText(&pin, "Native")
	p := newCParams(&pin, params)
	result := s.lib.streamQuery(s.conn(), q, qLen, f, fLen, p.pNames, p.pNameLens, p.pValues, p.pValuesLens, uintptr(len(params)))
	runtime.KeepAlive(p)
	if result == nil {
		return parseEngineError("the engine returned no result")
	}
	defer s.lib.resultDestroy(result)
	if text := s.lib.resultError(result); text != nil {
		return parseEngineError(goText(text))
	}
	for {
		if err := ctx.Err(); err != nil {
			s.lib.streamStop(s.conn(), result)
			return err
		}
		done, err := s.next(result, emit)
		if err != nil {
			s.lib.streamStop(s.conn(), result)
			return err
		}
		if done {
			return nil
		}
	}
}

// next fetches one chunk; an empty one is the end.
func (s *session) next(result unsafe.Pointer, emit func([]byte) error) (done bool, err error) {
	chunk := s.lib.streamFetch(s.conn(), result)
	if chunk == nil {
		return true, nil
	}
	defer s.lib.resultDestroy(chunk)
	if text := s.lib.resultError(chunk); text != nil {
		return false, parseEngineError(goText(text))
	}
	n := s.lib.resultLength(chunk)
	if n == 0 {
		return true, nil
	}
	return false, emit(unsafe.Slice((*byte)(s.lib.resultBuffer(chunk)), n))
}
