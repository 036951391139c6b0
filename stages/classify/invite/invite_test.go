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
		"START your return by replying START":                                   "START",
		"Cancel your order by texting us the word CANCEL":                       "CANCEL",
		"Opt out any time by replying STOP":                                     "",
		"To stop us texting you, reply STOP.":                                   "",
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
		"Siparişinizi iptal etmek için İPTAL yazın.":                            "İPTAL",
		"Teslimatı durdurmak için bize DUR yazarak yanıtlayın":                  "DUR",
		"Kargo takibi için \"YARDIM\" yazıp gönderin":                           "YARDIM",
		"Abonelikten çıkmak için DUR yazın.":                                    "",
		"Mesajları durdurmak için İPTAL yazın":                                  "",
		"Yardım için YARDIM yazın.":                                             "",
		"Ödemeyi ret olarak bildirdiler, siparişinizi iptal ettik.":             "",
		"回复“取消”以取消订单。":                                                          "取消",
		"回复取消即可取消订单":                                                            "取消",
		"您好！如需取消订单，请回复TD。":                                                      "TD",
		"请回复此短信“取消”来取消您的预约":                                                     "取消",
		"回复STOP取消送货":                                                            "STOP",
		"发送“帮助”查询物流":                                                            "帮助",
		"回复TD退订":                                                                "",
		"如不想再收到短信，请回复“取消”":                                                      "",
		"如需帮助，请回复“帮助”":                                                          "",
		"我们已取消您的订单，请回复您的新地址":                                                    "",
		"注文をキャンセルするには「キャンセル」と返信してください。":                                         "キャンセル",
		"ご予約の取り消しはキャンセルとご返信ください":                                                "キャンセル",
		"このメッセージに「停止」と返信すると配達を止めます":                                             "停止",
		"配送状況は HELP と返信してください":                                                  "HELP",
		"配信を停止するには「停止」と返信してください。":                                               "",
		"メッセージが不要な場合は STOP と返信してください":                                           "",
		"サポートが必要な場合は「ヘルプ」と返信してください":                                             "",
		"注文のキャンセルを承りました。ご返信ありがとうございます。":                                         "",
		"ご注文キャンセルと返信いただいた件です":                                                   "",
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
	f.Add("回复“取消\xff”以 DUR yazın")
	f.Add("「停止」と返信")
	f.Fuzz(func(_ *testing.T, text string) { find.Find(text) })
}
