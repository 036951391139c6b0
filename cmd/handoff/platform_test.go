package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/handoff-dev/handoff/schemas"
	"github.com/handoff-dev/handoff/schemas/handoffv1"
)

// TestThePlatformIsTold reads handoff.platform as the messaging platform does, with nothing but the schema that
// gateway.md names (C14, H13): of every person each change of consent and each episode that people get or give
// back is there once, in order, under the person's key; what changes nothing, is repeated, or comes of an import
// is not. Stages end and go on in between.
func TestThePlatformIsTold(t *testing.T) {
	h := stageRan(t)
	h.apply("desk: {kind: zendesk, subdomain: acme, user: handoff@acme.example, token: \"env:TOKEN\", webhook_secret: \"env:HOOK\"}\nhandoff: {skip_offer_when_asked: true}\nconsent: {quiet_hours: false}\n")
	stages := []string{schemas.StageClassify, schemas.StageConsent, schemas.StageEscalate}
	const people = 12
	client := h.client()
	told := map[string][]string{}
	say := func(texts ...string) {
		for i := range people {
			for n, text := range texts {
				h.say(client, fmt.Sprintf("+1415555%04d", 1000+i), text, fmt.Sprint(len(told), text, n))
			}
		}
	}
	read := h.platform()
	until := func(what string, want func(events []string) bool) {
		h.until(what, func() bool {
			for _, e := range read() {
				told[e.key] = append(told[e.key], e.says)
			}
			if len(told) < people+1 { // the one of stageRan's STOP
				return false
			}
			for key, events := range told {
				if key != person && !want(events) {
					return false
				}
			}
			return true
		})
	}
	h.whileRunning(stages, func() {
		say("Hello", "I want to talk to a person", "I want to talk to a person")
		until("all have people", func(e []string) bool { return slices.Contains(e, "episode 1: requested") })
	})
	h.whileRunning(stages, func() {
		say("STOP", "STOP", "START")
		until("all are subscribed again", func(e []string) bool {
			return slices.Contains(e, "3: subscribed") && slices.Contains(e, "episode 1: opted_out")
		})
	})
	ofKind := func(events []string, episodes bool) (some []string) {
		for _, e := range events {
			if strings.HasPrefix(e, "episode") == episodes {
				some = append(some, e)
			}
		}
		return some
	}
	for key, events := range told {
		if key == person {
			continue // who was there before the test, and had sent hello before that
		}
		if got := ofKind(events, false); !slices.Equal(got, []string{"1: conversational", "2: unsubscribed", "3: subscribed"}) {
			t.Errorf("%s: consent %q", key, got)
		}
		if got := ofKind(events, true); !slices.Equal(got, []string{"episode 1: requested", "episode 1: opted_out"}) {
			t.Errorf("%s: episodes %q", key, got)
		}
	}
	if left := read(); len(left) > 0 {
		t.Errorf("something more: %v", left)
	}
}

// apply puts settings in force that say more than stageRan's.
func (h *inspected) apply(more string) {
	h.t.Helper()
	shop := filepath.Join(h.t.TempDir(), "acme.yaml")
	document := "shop: acme\nname: Acme\nsupport_contact: help@acme.example\naccounts:\n- {channel: sms, account: \"+15557770000\", provider: twilio, user: AC1, secret: \"env:TOKEN\"}\n" + more
	if err := os.WriteFile(shop, []byte(document), 0o600); err != nil {
		h.t.Fatal(err)
	}
	if _, problems, code := h.at("settings", "apply", "-f", shop); code != 0 {
		h.t.Fatal(problems)
	}
}

// say posts a customer's message twice, as the gateway does where a provider repeats its webhook.
func (h *inspected) say(client *kgo.Client, address, text, id string) {
	h.t.Helper()
	now := timestamppb.Now()
	value, err := schemas.Encode(&handoffv1.Record{
		Id: schemas.SourceID("twilio", "acme", address, id), Shop: "acme", Address: address, Channel: handoffv1.Channel_CHANNEL_SMS, Account: "+15557770000",
		Conversation: "sms:+15557770000", SettingsVersion: 2, ReceivedAt: now, EventTime: now,
		Body: &handoffv1.Record_CustomerMessage{CustomerMessage: &handoffv1.CustomerMessage{Text: text, NativeId: id}},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	key := []byte("acme|" + address)
	for range 2 {
		if err := client.ProduceSync(h.t.Context(), &kgo.Record{Topic: schemas.TopicClassify, Key: key, Value: value, Timestamp: now.AsTime()}).FirstErr(); err != nil {
			h.t.Fatal(err)
		}
	}
}

// event is what the platform is told.
type event struct{ key, says string }

// platform returns what reads the committed records that came since the last call, partition by partition, and
// fails where one is not as documented.
func (h *inspected) platform() func() []event {
	h.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.TrimPrefix(h.set[0], "kafka.brokers=")), kgo.ConsumeTopics(schemas.TopicPlatform), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(client.Close)
	ids := map[string]bool{}
	return func() (events []event) {
		ctx, cancel := context.WithTimeout(h.t.Context(), 500*time.Millisecond)
		defer cancel()
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			got := &handoffv1.Record{}
			if err := proto.Unmarshal(r.Value, got); err != nil {
				h.t.Errorf("%d/%d: no handoff.v1.Record: %v", r.Partition, r.Offset, err)
				return
			}
			if id := schemas.HexID(got.GetId()); ids[id] {
				h.t.Errorf("%s is told twice", id)
			} else {
				ids[id] = true
			}
			if string(r.Key) != got.GetShop()+"|"+got.GetAddress() || r.Partition != schemas.Partition(r.Key, schemas.AnalyticsPartitions) {
				h.t.Errorf("%s of %s is on partition %d", r.Key, got.GetAddress(), r.Partition)
			}
			e := event{key: string(r.Key)}
			switch f := got.GetFact(); {
			case f.GetConsent() != nil:
				e.says = fmt.Sprintf("%d: %s", f.GetConsent().GetVersion(), strings.ToLower(strings.TrimPrefix(f.GetConsent().GetStatus().String(), "CONSENT_STATUS_")))
			case f.GetEpisode() != nil:
				e.says = fmt.Sprintf("episode %d: %s", f.GetEpisode().GetEpisode(), strings.ToLower(strings.TrimPrefix(f.GetEpisode().GetTo().String(), "EPISODE_STATE_")))
			default:
				h.t.Errorf("the platform is told of %v", f)
			}
			events = append(events, e)
		})
		return events
	}
}
