package schemas

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

func sample() *handoffv1.Record {
	return &handoffv1.Record{
		Id: SourceID("twilio", "acme", "+15557770000", "SM1"), Shop: "acme", Address: "+14155550001",
		Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000", Conversation: "sms:+15557770000",
		ReceivedAt: timestamppb.New(time.UnixMilli(1_700_000_000_000)), SettingsVersion: 4,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: "hi"}},
	}
}

func TestDecodeReadsWhatEncodeWrote(t *testing.T) {
	r := sample()
	value, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(KeyOf(r).Bytes(), value)
	if err != nil || !proto.Equal(got, r) {
		t.Fatalf("read back %v, %v", got, err)
	}
	for range 20 {
		if again, _ := Encode(r); !bytes.Equal(again, value) {
			t.Fatal("the same record encodes to other bytes")
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for want, change := range map[string]func(*handoffv1.Record){
		"id has 3 bytes": func(r *handoffv1.Record) { r.Id = []byte("abc") },
		"id has 0 bytes": func(r *handoffv1.Record) { r.Id = nil },
		"filed under":    func(r *handoffv1.Record) { r.Address = "+1999" },
		"no received_at": func(r *handoffv1.Record) { r.ReceivedAt = nil },
		"no body":        func(r *handoffv1.Record) { r.Body = nil },
	} {
		r := sample()
		key := KeyOf(r).Bytes()
		change(r)
		value, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(key, value); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), want) {
			t.Errorf("decoding gives %v, want a bad record with %q", err, want)
		} else if strings.Contains(err.Error(), "+1") {
			t.Errorf("%v tells whose record it is; reasons are logged", err)
		}
	}
	if _, err := Decode(nil, []byte("\xff")); !errors.Is(err, ErrRecord) {
		t.Errorf("garbage gives %v", err)
	}
	bad := sample()
	bad.Account = "\xff"
	if _, err := EncodeOutside(bad); err == nil {
		t.Error("what somebody outside said is not UTF-8 and encodes")
	}
	value, err := Encode(bad)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(KeyOf(bad).Bytes(), value); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), "Account is not UTF-8") {
		t.Errorf("a record that is not UTF-8 decodes: %v", err)
	}
}

// The generated codecs and protobuf's own agree on every message: about the bytes they make, and about
// bytes that were damaged on the way.
func TestCodecsAgree(t *testing.T) {
	full := filled((&handoffv1.Record{}).ProtoReflect().Descriptor())
	for i := range full.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Len() {
		r := filled(full.ProtoReflect().Descriptor()).(*handoffv1.Record)
		field := r.ProtoReflect().Descriptor().Oneofs().ByName("body").Fields().Get(i)
		r.ProtoReflect().Set(field, protoreflect.ValueOfMessage(filled(field.Message()).ProtoReflect()))
		ours, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := EncodeOutside(r)
		if err != nil || !bytes.Equal(ours, theirs) {
			t.Fatalf("%s: encoded differently (%v):\n%x\n%x", field.Name(), err, ours, theirs)
		}
		rng := rand.New(rand.NewPCG(1, uint64(i)))
		for range 2000 {
			damaged := bytes.Clone(ours)
			for range rng.IntN(4) {
				damaged[rng.IntN(len(damaged))] ^= 1 << rng.IntN(8)
			}
			agree(t, damaged[:len(damaged)-rng.IntN(3)])
		}
	}
}

// agree decodes both ways. The generated codec may refuse more (a field of another wire type), and takes
// numbers of more than 64 bits.
func agree(t *testing.T, b []byte) {
	t.Helper()
	mine, theirs := &handoffv1.Record{}, &handoffv1.Record{}
	mineErr, theirErr := Unmarshal(b, mine), proto.Unmarshal(b, theirs)
	discardUnknown(mine.ProtoReflect())   // a Timestamp of ours keeps no
	discardUnknown(theirs.ProtoReflect()) // fields that it does not know
	switch {
	case mineErr == nil && theirErr == nil && !proto.Equal(mine, theirs):
		t.Fatalf("%x decodes to\n%v\n%v", b, mine, theirs)
	case mineErr == nil && theirErr != nil:
		if _, err := proto.Marshal(mine); err != nil {
			t.Fatalf("%x decodes to what cannot be encoded: %v", b, err)
		}
	}
}

func discardUnknown(m protoreflect.Message) {
	m.SetUnknown(nil)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				discardUnknown(v.List().Get(i).Message())
			}
		default:
			discardUnknown(v.Message())
		}
		return true
	})
}

// filled returns a message of that type in which every field is set, the first of each oneof.
func filled(d protoreflect.MessageDescriptor) proto.Message {
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	m := kind.New()
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if o := f.ContainingOneof(); o != nil && o.Fields().Get(0) != f {
			continue
		}
		v := scalar(f)
		if f.IsList() {
			m.Mutable(f).List().Append(v)
			v = m.Get(f)
		}
		m.Set(f, v)
	}
	return m.Interface()
}

// scalar is a value of a field, other than its default.
func scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(filled(f.Message()).ProtoReflect())
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("größe " + string(f.Name()))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte{0xff, 0, 1})
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(300)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1 << 40)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(-7)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1 << 33)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(0.25)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(-0.5)
	default:
		panic("no value of kind " + f.Kind().String())
	}
}

func FuzzDecode(f *testing.F) {
	value, err := Encode(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("acme|+14155550001"), value)
	f.Add([]byte("|"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		agree(t, value)
		r, err := Decode(key, value)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Fatalf("the error %v is not a bad record", err)
			}
			return
		}
		if len(r.GetId()) != IDSize || r.GetBody() == nil || KeyOf(r).String() != string(key) {
			t.Fatalf("decoded %v", r)
		}
	})
}

// The ids are part of the contract: a change of their derivation would act twice on everything in
// flight.
func TestIDsAreFixed(t *testing.T) {
	source := SourceID("twilio", "acme", "+15557770000", "SM1")
	for name, c := range map[string]struct {
		id   []byte
		want string
	}{
		"source": {source, "a5ab72f31cfa3a19f42a32a55b8d039d"},
		"effect": {EffectID(source, "classify", 1), "76e1271f92c292e7b0699dbad7776992"},
		"timer":  {TimerID([]byte("acme|+1"), "escalate", "lapse", time.UnixMilli(1_700_000_000_000)), "6a15837c58d188575c2c1afb04a4a7e1"},
	} {
		if got := HexID(c.id); got != c.want {
			t.Errorf("%s id is %s, want %s", name, got, c.want)
		}
	}
}

// Ids of different things differ, also where their parts run together alike.
func TestIDsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringN(0, 6, -1)
		a := []string{part.Draw(t, "a0"), part.Draw(t, "a1"), part.Draw(t, "a2"), part.Draw(t, "a3")}
		b := []string{part.Draw(t, "b0"), part.Draw(t, "b1"), part.Draw(t, "b2"), part.Draw(t, "b3")}
		x, y := SourceID(a[0], a[1], a[2], a[3]), SourceID(b[0], b[1], b[2], b[3])
		same := a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3]
		if bytes.Equal(x, y) != same || len(x) != IDSize {
			t.Fatalf("%q is %x, %q is %x", a, x, b, y)
		}
		if bytes.Equal(EffectID(x, a[0], 0), EffectID(x, a[0], 1)) || bytes.Equal(EffectID(x, "a", 0), EffectID(x, "b", 0)) {
			t.Fatal("two effects have one id")
		}
	})
	if bytes.Equal(SourceID("ab", "c", "", ""), SourceID("a", "bc", "", "")) {
		t.Error("parts run together")
	}
}
