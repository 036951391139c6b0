package htmltext_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/handoff-dev/handoff/schemas/htmltext"
)

func TestReply(t *testing.T) {
	tests := []struct{ name, html, plain, want string }{
		{"plain", "", "Hello", "Hello"},
		{"empty", "", "", ""},
		{"blank html falls back to text", " \n", "Hi", "Hi"},
		{"html wins", "<p>Hi <b>Ann</b></p>", "other", "Hi Ann"},
		{"paragraphs and breaks", "<p>One</p><p>Two<br>Three</p>", "", "One\n\nTwo\nThree"},
		{"divs", "<div>One</div><div>Two</div><div><br></div><div>Three</div>", "", "One\nTwo\n\nThree"},
		{"entities", "Fish &amp; chips &lt;3&nbsp;&#128077;", "", "Fish & chips <3 👍"},
		{"folded white space", "<p>  a \n\t b </p>", "", "a b"},
		{"pre keeps it", "<pre>a\n  b</pre>", "", "a\n  b"},
		{"lists", "<ul><li>a</li><li>b</li></ul><ol start=3><li>c</li><li>d</li></ol>", "", "- a\n- b\n3. c\n4. d"},
		{"link with words", `See <a href="https://a.example/x">our page</a>.`, "", "See our page (https://a.example/x)."},
		{"a space at the end of a link", `See <a href="https://a.example/x"> our  <b>page</b> </a>now`, "", "See our page (https://a.example/x) now"},
		{"link shown as itself", `<a href="https://www.a.example/">a.example</a>`, "", "a.example"},
		{"script link is only words", `<a href="javascript:alert(1)">press</a>`, "", "press"},
		{"mailto", `<a href="mailto:a@b.example">write</a>`, "", "write (a@b.example)"},
		{"image alt", `<img src="x" alt="😀"> hi`, "", "😀 hi"},
		{"script and style", "<style>p{}</style><script>x</script>Hi", "", "Hi"},
		{"hidden preheader", `<div style="display: none">pre</div>Hi`, "", "Hi"},
		{"table cells", "<table><tr><td>Order</td><td>12</td></tr><tr><td>Sum</td><td>3</td></tr></table>", "", "Order 12\nSum 3"},
		{"unclosed", "<p>a<div>b", "", "a\n\nb"},
		{"gmail quote", `<div>Sure</div><div class="gmail_quote">On Mon wrote: <blockquote>#optout</blockquote></div>`, "", "Sure"},
		{"blockquote", `<p>Answer</p><blockquote type="cite">question #optout</blockquote>`, "", "Answer"},
		{"answer between quotes", `<blockquote>q1</blockquote><p>a1</p><blockquote>q2</blockquote><p>a2</p>`, "", "a1\n\na2"},
		{"only a quotation", `<blockquote>Use code X</blockquote>`, "", "Use code X"},
		{"only a quotation of a mail", `<blockquote type="cite">Use code X</blockquote>`, "", ""},
		{"only history", `<div class="gmail_quote"><div>On Mon, 2 Mar 2026 at 10:00, Ann wrote:</div><blockquote>#optout</blockquote></div>`, "", ""},
		{"only history in text", "", "On Tue, 3 May 2026 at 10:00, Ann <a@b.c> wrote:\n> old", ""},
		{"only a signature", "<div><br></div><div class=\"gmail_signature\">Bob, Support</div>", "", ""},
		{"only a signature in text", "", "-- \nBob\nSupport", ""},
		{"only a signature, behind a quotation", "", "> a\n-- \nBob", "> a"},
		{"only a phone", "", "Sent from my iPhone", ""},
		{"outlook", `<p>Yes</p><div id="appendonsend"></div><hr><div>From: Ann</div>`, "", "Yes"},
		{"signature element", `<p>Yes</p><div class="gmail_signature">Bob, Support</div>`, "", "Yes"},
		{"attribution across elements", `<p>Yes</p><p>On 3 May 2026 at 10:00, Ann wrote:</p><p>old</p>`, "", "Yes"},
		{"dash signature", "", "Done.\n\n-- \nBob\nSupport", "Done."},
		{"dash signature in html", "<p>Done.</p><p>--<br>Bob</p>", "", "Done."},
		{"double dash inside", "", "We -- of course -- can.", "We -- of course -- can."},
		{"quoted lines", "", "Yes\n> old\n> older\nand no", "Yes\nand no"},
		{"attribution", "", "Yes\n\nOn Tue, 3 May 2026 at 10:00, Ann <a@b.c> wrote:\n> old", "Yes"},
		{"wrapped attribution", "", "Yes\n\nOn Tue, 3 May 2026 at 10:00, Ann Somebody\n<a@b.example> wrote:\n\nold", "Yes"},
		{"french", "", "Oui\n\nLe mar. 3 mai 2026 à 10:00, Ann a écrit :\n> vieux", "Oui"},
		{"german", "", "Ja\n\nAm 03.05.2026 um 10:00 schrieb Ann:\n> alt", "Ja"},
		{"spanish", "", "Sí\n\nEl lun, 2 mar 2026 a las 10:00, Ann (<ann@b.example>) escribió:\n> STOP", "Sí"},
		{"polish", "", "Tak\n\npon., 2 mar 2026 o 10:00 Ann <ann@b.example> napisał(a):\n\nstare", "Tak"},
		{"polish, of Thunderbird", "", "Tak\n\nW dniu 2.03.2026 o 10:00, Ann pisze:\nstare", "Tak"},
		{"italian", "", "Sì\n\nIl giorno lun 2 mar 2026 alle ore 10:00 Ann ha scritto:\nvecchio", "Sì"},
		{"dutch", "", "Ja\n\nOp ma 2 mrt 2026 om 10:00 schreef Ann:\noud", "Ja"},
		{"portuguese", "", "Sim\n\nEm seg., 2 de mar. de 2026 às 10:00, Ann escreveu:\nvelho", "Sim"},
		{"turkish", "", "Evet\n\nAnn <ann@b.example>, 2 Mar 2026 Pzt, 10:00 tarihinde şunu yazdı:\neski", "Evet"},
		{"japanese", "", "はい\n\n2026年3月2日(月) 10:00 Ann <ann@b.example>:\n\n古い", "はい"},
		{"chinese", "", "好的\n\nAnn <ann@b.example> 于2026年3月2日周一 10:00写道：\n\n旧", "好的"},
		{"a date of one's own kept", "", "2026年3月2日に発送しました：ヤマト運輸\n追跡番号 12", "2026年3月2日に発送しました：ヤマト運輸\n追跡番号 12"},
		{"own spanish sentence kept", "", "El pedido 12 lo escribió otra persona", "El pedido 12 lo escribió otra persona"},
		{"phones in other languages", "", "好\n\n发自我的 iPhone", "好"},
		{"dutch phone", "", "Ja\n\nVerzonden vanaf mijn iPhone", "Ja"},
		{"turkish phone", "", "Evet\n\niPhone'umdan gönderildi", "Evet"},
		{"own sentence kept", "", "On the box someone wrote: fragile", "On the box someone wrote: fragile"},
		{"own sentence ending kept", "", "On the label they wrote:\nfragile", "On the label they wrote:\nfragile"},
		{"original message", "", "Ok\n-----Original Message-----\nFrom: x", "Ok"},
		{"header block", "", "Ok\n________________________________\nFrom: Ann\nSent: today\nTo: us\nold", "Ok"},
		{"bare header block", "", "Ok\nFrom: Ann\nSent: today\nTo: us\nold", "Ok"},
		{"lone from kept", "", "From: Paris\nwe ship tomorrow", "From: Paris\nwe ship tomorrow"},
		{"zendesk delimiter", "", "Ok\n##- Please type your reply above this line -##\nold", "Ok"},
		{"phone", "", "Ok\n\nSent from my iPhone", "Ok"},
		{"phone in a sentence", "", "Sent from my warehouse today, should arrive Friday, says the carrier that we use for this sort of parcel.", "Sent from my warehouse today, should arrive Friday, says the carrier that we use for this sort of parcel."},
		{"nothing but quotation", "", "> a\n> b", "> a\n> b"},
		{"family emoji survives", "<p>👩‍👩‍👧</p>", "", "👩‍👩‍👧"},
		{"invalid utf-8", "", "a\xffb", "a\uFFFDb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := htmltext.Reply(tt.html, tt.plain); got != tt.want {
				t.Errorf("Reply(%q, %q) = %q, want %q", tt.html, tt.plain, got, tt.want)
			}
		})
	}
}

// What an agent pasted into the words is no attachment at the desk, and goes along; what is quoted does not.
func TestPictures(t *testing.T) {
	got := htmltext.Pictures(`<p>Like this: <img src="https://a.example/attached.png"><img src="https://a.example/1.png" alt="image.png"></p>`+
		`<a href="https://a.example"><img src=" http://a.example/2.png "></a> <img src="https://a.example/1.png">`+
		`<img src="https://a.example/smile.png" alt="😀"><img src="cid:1"><img src="data:image/png;base64,AA"><img src="/3.png"><img>`+
		`<img src="https://a.example/seen" width=1 height=1><p hidden><img src="https://a.example/hidden.png"></p>`+
		`<div class="gmail_signature"><img src="https://a.example/logo.png"></div>`+
		`<blockquote><img src="https://a.example/theirs.png"></blockquote>`, []string{"https://a.example/attached.png"})
	if want := []string{"https://a.example/1.png", "http://a.example/2.png"}; !slices.Equal(got, want) {
		t.Errorf("Pictures = %q, want %q", got, want)
	}
	for _, ends := range []string{"<p>--</p>", "<p>On 3 May 2026 at 10:00, Ann wrote:</p>", `<hr id="appendonsend">`, "<p>-----Original Message-----</p>"} {
		got := htmltext.Pictures(`<p>Here.</p><img src="https://a.example/1.png">`+ends+`<p>x</p><img src="https://a.example/2.png">`, nil)
		if len(got) != 1 || got[0] != "https://a.example/1.png" {
			t.Errorf("Pictures around %s = %q", ends, got)
		}
	}
	many := ""
	for i := range 30 {
		many += fmt.Sprintf(`<img src="https://a.example/%d.png">`, i)
	}
	if got := htmltext.Pictures(many, nil); len(got) != 10 {
		t.Errorf("Pictures gives %d of 30", len(got))
	}
	if got := htmltext.Pictures(strings.Repeat("<div>", 5000)+"word", nil); got != nil {
		t.Errorf("Pictures of 5000 divs = %q", got)
	}
}

func TestFromHTMLKeepsQuotations(t *testing.T) {
	got := htmltext.FromHTML("<p>a</p><blockquote>b</blockquote>")
	if got != "a\n\nb" {
		t.Errorf("FromHTML = %q, want both lines", got)
	}
}

// Markup nested deeper than the parser allows must not lose its words.
func TestDeepNesting(t *testing.T) {
	deep := strings.Repeat("<div>", 5000) + "word" + strings.Repeat("</div>", 5000)
	if got := htmltext.Reply(deep, ""); got != "word" {
		t.Errorf("Reply(5000 divs) = %q, want %q", got, "word")
	}
}

func FuzzReply(f *testing.F) {
	f.Add("<p>a<blockquote>b", "c\n> d")
	f.Add("<a href='http://x'><pre> y", "On 3 May, A wrote:\n-- \n")
	f.Add("<ol start=99999999999><li>x</ol>&#0;", "\xff\x00")
	f.Fuzz(func(t *testing.T, markup, plain string) {
		got := htmltext.Reply(markup, plain)
		if !utf8.ValidString(got) {
			t.Fatalf("not UTF-8: %q", got)
		}
		if got != strings.TrimSpace(got) {
			t.Fatalf("not trimmed: %q", got)
		}
		if again := htmltext.Reply("", plain); htmltext.CutQuoted(again) != "" && htmltext.Reply("", again) != again {
			t.Fatalf("cutting twice differs: %q then %q", again, htmltext.Reply("", again))
		}
	})
}
