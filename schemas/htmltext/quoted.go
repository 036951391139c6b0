package htmltext

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// markedClasses are the classes by which mail programs and help desks mark
// quoted history and signatures.
var markedClasses = map[string]bool{
	"gmail_quote": true, "gmail_quote_container": true, "gmail_extra": true, "gmail_attr": true,
	"gmail_signature": true, "yahoo_quoted": true, "moz-cite-prefix": true, "moz-signature": true,
	"protonmail_quote": true, "protonmail_signature_block": true, "zmail_extra": true,
	"front-blockquote": true, "freshdesk_quote": true, "signature": true, "zd-signature": true,
	"email-signature": true, "gorgias-signature": true, "gorgias_quote": true, "quoted-reply": true,
}

// marked tells whether a mail program or desk marked an element as a signature
// or as quoted history.
func marked(n *html.Node) bool {
	if n.DataAtom == atom.Blockquote && attr(n, "type") == "cite" {
		return true
	}
	if id := strings.ToLower(attr(n, "id")); id == "signature" || id == "gmail_signature" {
		return true
	}
	for _, a := range n.Attr {
		if a.Key == "data-smartmail" && a.Val == "gmail_signature" || a.Key == "data-signature" {
			return true
		}
	}
	for class := range strings.FieldsSeq(strings.ToLower(attr(n, "class"))) {
		if markedClasses[class] {
			return true
		}
	}
	return false
}

// startsHistory tells whether an element is the mark behind which a mail
// program writes all earlier mail (Outlook).
func startsHistory(n *html.Node) bool {
	switch strings.ToLower(attr(n, "id")) {
	case "divrplyfwdmsg", "appendonsend", "stopspelling", "x_divrplyfwdmsg", "x_appendonsend":
		return true
	}
	return false
}

var (
	// attribution is the line that introduces quoted history: "On Tue, Ann
	// wrote:" and the same in the languages of the larger mail programs. A time,
	// a date or an address must stand in it, so that a sentence of the agent's
	// own that ends in "wrote:" is kept. \b knows ASCII letters only.
	attribution = regexp.MustCompile(`(?i)^\s*(?:` +
		`(?:(?:on|le|am|el|il|op|em|den|w dniu)|(?:pon|wt|śr|czw|pt|sob|niedz)\.,?)\s.*(?:\d|@).*[^\pL](?:wrote|a écrit|schrieb|escribió|ha scritto|schreef|escreveu|skrev|napisał(?:\(a\))?|pisze)(?:[^\pL].{0,80})?:` +
		`|.*\d.*[^\pL]tarihinde\s.*[^\pL]yazdı:` +
		`|.*\d{4}年\d{1,2}月\d{1,2}日.*(?:写道|寫道|のメッセージ|のメール)[:：]` +
		`|\d{4}年\d{1,2}月\d{1,2}日.*<\S+@\S+>[:：]` +
		`)\s*$`)
	// separator lines end the message: the rest is earlier mail.
	separator  = regexp.MustCompile(`(?i)^\s*(?:-{2,}\s*(?:original message|forwarded message|message d'origine|ursprüngliche nachricht|mensaje original|messaggio originale|oorspronkelijk bericht|mensagem original)\s*-{2,}|##-.*-##|begin forwarded message:)\s*$`)
	headerFrom = regexp.MustCompile(`(?i)^\s*\*?(?:from|von|de|da|van)\s?:\*?\s+\S`)
	headerSent = regexp.MustCompile(`(?i)^\s*\*?(?:sent|date|to|subject|gesendet|an|betreff|envoyé|à|objet|enviado|para|asunto|inviato|a|oggetto|verzonden|aan|onderwerp|assunto)\s?:\*?\s+\S`)
	device     = regexp.MustCompile(`(?i)^\s*(?:sent from (?:my|mail for|outlook|yahoo mail)\b.{0,60}|get outlook for \S+|envoyé de mon \S.{0,40}|von meinem \S.{0,40} gesendet|enviado desde mi \S.{0,40}|enviado d[eo] meu \S.{0,40}|inviato da(?:l mio)? \S.{0,40}|verzonden vanaf mijn \S.{0,40}|wysłane z \S.{0,40}|\S{1,20}['’]?(?:um)?[dt]an gönderildi|.{1,20}から送信|发自我的\s?\S.{0,40})$`)
)

// CutQuoted cuts quoted history and signatures from plain text: everything
// from a "-- " line, a forwarding separator, a mail header block or an
// attribution line on, lines that begin with ">", and a closing "Sent from my
// …" line. What is left may be "".
func CutQuoted(text string) string { return cutFrom(text, false) }

// OwnWords is a text without what CutQuoted cuts; one that is nothing else stays
// whole.
func OwnWords(text string) string {
	if strings.IndexByte(text, '\n') < 0 {
		return text // as nearly all are: there is nothing below the words
	}
	if own := CutQuoted(text); own != "" {
		return own
	}
	return text
}

// ownGoesOn tells whether what stands behind a text is the writer's own still: no signature and no earlier mail began.
func ownGoesOn(text string) bool {
	const object = "\uFFFC" // stands in a text for what is none, and at the end of nobody's words
	return strings.HasSuffix(CutQuoted(text+"\n\n"+object), object)
}

// cutFrom cuts quoted history and signatures; lines that begin with ">" stay
// where quotations are to.
func cutFrom(text string, quotations bool) string {
	lines := strings.Split(normalise(text), "\n")
	var kept []string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if endsOwnWords(lines, i) {
			break
		}
		if !quotations && strings.HasPrefix(strings.TrimLeft(line, " "), ">") {
			continue
		}
		kept = append(kept, line)
	}
	for len(kept) > 0 {
		last := strings.TrimSpace(kept[len(kept)-1])
		if last != "" && !device.MatchString(last) {
			break
		}
		kept = kept[:len(kept)-1]
	}
	return normalise(strings.Join(kept, "\n"))
}

// endsOwnWords tells whether line i begins a signature or earlier mail.
func endsOwnWords(lines []string, i int) bool {
	line := lines[i]
	if strings.TrimRight(line, " ") == "--" || separator.MatchString(line) {
		return true
	}
	if attribution.MatchString(line) {
		return true
	}
	// Mail programs wrap long attributions at 76 characters.
	if i+1 < len(lines) && lines[i+1] != "" && !strings.HasSuffix(line, ":") &&
		attribution.MatchString(line+" "+lines[i+1]) {
		return true
	}
	if underscores(line) && i+1 < len(lines) && (headerFrom.MatchString(lines[i+1]) || lines[i+1] == "" && i+2 < len(lines) && headerFrom.MatchString(lines[i+2])) {
		return true
	}
	return headerFrom.MatchString(line) && headersFollow(lines, i)
}

// headersFollow tells whether at least two of the next four lines are mail
// headers, so that a lone "From: Paris" in a reply is no header block.
func headersFollow(lines []string, i int) bool {
	found := 0
	for j := i + 1; j < len(lines) && j <= i+4; j++ {
		if headerSent.MatchString(lines[j]) {
			found++
		}
	}
	return found >= 2
}

func underscores(line string) bool {
	line = strings.TrimSpace(line)
	return len(line) >= 8 && strings.Trim(line, "_") == ""
}
