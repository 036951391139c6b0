package classifier

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
	"github.com/handoff-dev/handoff/stages/classify"
	"github.com/handoff-dev/handoff/stages/classify/intent"
)

const (
	// batchLines is how many lines one worker takes at a time, batchBytes how many bytes at most.
	batchLines = 2048
	batchBytes = 1 << 20
)

// batch is some lines on their way through; done is closed when out holds their readings.
type batch struct {
	lines []byte
	first int
	out   []byte
	err   error
	done  chan struct{}
}

// ErrLine marks a line that cannot be read as one of messages.
var ErrLine = errors.New("line")

// Lines reads lines from in and writes one JSON object for each to out, in their order, with a worker per
// processor. A line that begins as a JSON object does has text and asked, any other is the text itself.
// count is told of lines that are done. The error names the line that ended it, and wraps ErrLine where that
// cannot be read; what came before it is in out.
func Lines(stage *classify.Stage, in io.Reader, out io.Writer, count func(int)) error {
	work, order := make(chan *batch), make(chan *batch, 2*runtime.GOMAXPROCS(0))
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for b := range work {
				b.read(stage)
				close(b.done)
			}
		}()
	}
	failed := make(chan struct{})
	readErr := make(chan error, 1)
	go func() {
		readErr <- split(in, work, order, failed)
		close(work)
		close(order)
	}()
	w := bufio.NewWriterSize(out, 1<<20)
	for b := range order {
		<-b.done
		if _, err := w.Write(b.out); err != nil || b.err != nil {
			close(failed) // whoever writes the lines may not end for long: it is not waited for
			return errors.Join(b.err, err, w.Flush())
		}
		count(bytes.Count(b.lines, []byte{'\n'}))
		if len(order) == 0 { // whoever waits for answers gets them
			if err := w.Flush(); err != nil {
				close(failed)
				return err
			}
		}
	}
	return errors.Join(<-readErr, w.Flush())
}

// split cuts the input into batches of whole lines, each line ended.
func split(in io.Reader, work, order chan<- *batch, failed <-chan struct{}) error {
	r := bufio.NewReaderSize(in, 1<<20)
	line := 1
	for {
		b := &batch{first: line, done: make(chan struct{})}
		var err error
		for n := 0; n < batchLines && len(b.lines) < batchBytes && err == nil; n++ {
			var part []byte
			for part, err = r.ReadSlice('\n'); errors.Is(err, bufio.ErrBufferFull); part, err = r.ReadSlice('\n') {
				if b.lines = append(b.lines, part...); len(b.lines) > 64*batchBytes {
					return fmt.Errorf("%w %d: is longer than %d MiB; messages are a line each", ErrLine, line, 64)
				}
			}
			if b.lines = append(b.lines, part...); errors.Is(err, io.EOF) && len(b.lines) > 0 && b.lines[len(b.lines)-1] != '\n' {
				b.lines = append(b.lines, '\n')
			}
			line++
			if err == nil && r.Buffered() == 0 {
				break // whoever writes waits for answers: give what there is
			}
		}
		if len(b.lines) > 0 {
			select {
			case work <- b:
			case <-failed:
				return nil
			}
			select {
			case order <- b:
			case <-failed:
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// read reads the lines of a batch.
func (b *batch) read(stage *classify.Stage) {
	n := b.first
	for rest := b.lines; len(rest) > 0; n++ {
		end := bytes.IndexByte(rest, '\n')
		line := bytes.TrimSuffix(rest[:end], []byte{'\r'})
		rest = rest[end+1:]
		text, asked, err := parse(line)
		if err != nil {
			b.err = fmt.Errorf("%w %d: %w", ErrLine, n, err)
			return
		}
		read, in := stage.Look(text, asked)
		b.out = appendReading(b.out, read, in)
	}
}

// wanted is how a line of JSON is written.
const wanted = `{"text": "ok", "asked": "offer"}`

// parse reads one line. One that only begins as an object is refused: it is more likely cut off than what a
// customer wrote.
func parse(line []byte) (text string, asked handoffv1.Question, err error) {
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	trimmed := bytes.TrimSpace(line)
	if !bytes.HasPrefix(trimmed, []byte{'{'}) || !bytes.HasPrefix(bytes.TrimLeft(trimmed[1:], " \t"), []byte{'"'}) && !json.Valid(trimmed) {
		return string(line), asked, nil
	}
	var in struct {
		Text  *string `json:"text"`
		Asked string  `json:"asked"`
	}
	var mistyped *json.UnmarshalTypeError
	switch err := json.Unmarshal(trimmed, &in); {
	case errors.As(err, &mistyped):
		return "", asked, fmt.Errorf("%s is no string: want %s", mistyped.Field, wanted)
	case err != nil:
		return "", asked, fmt.Errorf("begins as JSON and is none (%s): want %s, with the message as its text whatever it begins with", strings.TrimPrefix(err.Error(), "json: "), wanted)
	case in.Text == nil:
		return "", asked, fmt.Errorf("the JSON object has no text: want %s", wanted)
	}
	switch in.Asked {
	case "":
	case "offer":
		asked = handoffv1.Question_QUESTION_OFFER
	case "optin":
		asked = handoffv1.Question_QUESTION_OPT_IN
	case "promo":
		asked = handoffv1.Question_QUESTION_OTHER
	default:
		return "", asked, fmt.Errorf("asked is %q: want offer, optin, promo or nothing", in.Asked)
	}
	return *in.Text, asked, nil
}

// directiveName is what a directive is called in readings.
func directiveName(d handoffv1.Directive) string {
	switch d {
	case handoffv1.Directive_DIRECTIVE_STOP:
		return "stop"
	case handoffv1.Directive_DIRECTIVE_START:
		return "start"
	case handoffv1.Directive_DIRECTIVE_HELP:
		return "help"
	case handoffv1.Directive_DIRECTIVE_YES:
		return "yes"
	case handoffv1.Directive_DIRECTIVE_NO:
		return "no"
	case handoffv1.Directive_DIRECTIVE_UNSPECIFIED:
	}
	return ""
}

// appendReading appends a reading as one line of JSON.
func appendReading(dst []byte, read *handoffv1.Classification, in intent.Reading) []byte {
	directive := directiveName(read.GetDirective())
	by, label, score := in.OptOutBy, in.Intent, in.Confidence
	if directive == "stop" && read.GetMatched() != by {
		by = "keyword " + read.GetMatched()
	}
	switch {
	case read.GetReaction():
		label, score = read.GetIntent(), read.GetConfidence()
	case read.GetThanksOnly():
		label, score = intent.Thanks, 1
	case read.GetIntent() != "" && directive != "stop":
		label, score = read.GetIntent(), read.GetConfidence()
	}
	dst = appendString(append(dst, `{"directive":`...), directive)
	dst = strconv.AppendBool(append(dst, `,"opt_out":`...), directive == "stop")
	dst = appendString(append(dst, `,"opt_out_by":`...), by)
	dst = strconv.AppendBool(append(dst, `,"opt_out_possible":`...), directive != "stop" && in.OptOut == intent.OptOutPossible)
	dst = appendString(append(dst, `,"intent":`...), label)
	dst = strconv.AppendFloat(append(dst, `,"score":`...), float64(score), 'f', 3, 32)
	dst = strconv.AppendBool(append(dst, `,"unsure":`...), read.GetUnsure())
	dst = strconv.AppendBool(append(dst, `,"out_of_scope":`...), in.OutOfScope && read.GetUnsure())
	dst = strconv.AppendFloat(append(dst, `,"sentiment":`...), float64(read.GetSentiment()), 'f', 3, 32)
	dst = appendString(append(dst, `,"language":`...), read.GetLanguage())
	return append(dst, "}\n"...)
}

// appendString appends a JSON string.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}
