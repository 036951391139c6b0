package invite

import (
	"testing"

	"github.com/handoff-dev/handoff/schemas/settings"
)

func TestFind(t *testing.T) {
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"Reply CANCEL to cancel your order.":                                    "CANCEL",
		"To cancel your order reply STOP":                                       "STOP",
		"Reply YES to confirm, STOP to cancel your appointment.":                "STOP",
		"reply stop to end the delivery":                                        "stop",
		"Please reply with \"end\" when you are done":                           "end",
		"Reply START to begin your return":                                      "START",
		"Text INFO for your order status":                                       "INFO",
		"Type HELP to see the menu":                                             "HELP",
		"Type HELP to talk to our support team.":                                "HELP",
		"Reply HELP for support":                                                "",
		"Want a person? Reply help":                                             "help",
		"Responde BAJA para devolver el pedido":                                 "BAJA",
		"Antworte mit STOP, um die Bestellung zu stornieren":                    "STOP",
		"Répondez STOP pour annuler la commande":                                "STOP",
		"Reply STOP to opt out.":                                                "",
		"To opt out, reply STOP. For help, reply HELP.":                         "",
		"Reply HELP for help, STOP to opt out.":                                 "",
		"Text STOP to unsubscribe":                                              "",
		"Txt STOP 2 end. Reply STOP to stop these messages":                     "",
		"Reply START to resubscribe":                                            "",
		"Reply YES to get our answer by text.":                                  "",
		"Text us if you need help with your order.":                             "",
		"Please send info about your order so that we can help.":                "",
		"You can cancel your order on our site. We will stop the parcel.":       "",
		"Répondez STOP pour vous désabonner":                                    "",
		"Antworte mit STOP, um dich abzumelden. Abmelden jederzeit.":            "",
		"Antworten Sie mit STOP zum Abmelden":                                   "",
		"Got it! We're on it and will text you back here shortly.":              "",
		"Our help desk will send you the end of the story, stop by our shop":    "",
		"Please message us on the web. HELP is on its way to stop the problem.": "",
	} {
		got, ok := f.Find(text)
		if ok != (want != "") || got.Keyword != want {
			t.Errorf("%q invites %q (%v), want %q", text, got.Keyword, ok, want)
		}
	}
}

// None of the texts that ship invites a keyword wrongly.
func TestShippedTexts(t *testing.T) {
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range settings.TextIDs() {
		if got, ok := f.Find(id.Default()); ok && !id.ForAgents() {
			t.Errorf("%s invites %s", id, got.Keyword)
		}
	}
}

func FuzzFind(f *testing.F) {
	find, err := New()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Reply STOP to opt out.")
	f.Add("« \xff reply \"end")
	f.Fuzz(func(_ *testing.T, text string) { find.Find(text) })
}
