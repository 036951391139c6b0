package consent

import (
	"testing"
	"time"

	"github.com/handoff-dev/handoff/pipeline"
	"github.com/handoff-dev/handoff/schemas"
)

// TestRepeat: of what a STOP puts out only the change of consent itself may come twice; its confirmation
// would be sent again, and its fact counted again.
func TestRepeat(t *testing.T) {
	w := newWorld(t, "")
	w.says(accountA, "hello")
	w.says(accountA, "STOP")
	repeated, others := 0, 0
	for topic, records := range w.out {
		for _, r := range records {
			value, err := schemas.Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			is := w.stage.Repeat(&pipeline.Emit{Topic: topic, Key: schemas.KeyOf(r).Bytes(), Value: value, Time: time.Now()})
			if want := topic == schemas.TopicDeliver && r.GetConsentChanged() != nil; is != want {
				t.Errorf("%s %T: %v", topic, r.GetBody(), is)
			}
			if is {
				repeated++
			} else {
				others++
			}
		}
	}
	if repeated == 0 || others < 3 {
		t.Errorf("%d may come twice, %d may not: this test shows little", repeated, others)
	}
}
