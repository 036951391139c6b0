package corpus

import (
	_ "embed"
	"fmt"
	"io/fs"
	"strings"

	"github.com/handoff-dev/handoff/schemas/tsv"
	"github.com/handoff-dev/handoff/stages/classify/fold"
)

//go:embed natural.tsv
var optOutsOfSets string

// public says what the messages of a public set are to a shop. An intent that is not listed is
// Unlabelled, or None where the set is about other things.
type public struct {
	file string
	// credit goes into the model's provenance and the NOTICE.
	credit string
	// rest is the label of intents that are not listed.
	rest string
	// labels of intents; Unlabelled for what is near a shop's intents and none of them.
	labels map[string]string
	// unknown intents may opt out or not: "please stop" tells a device to be silent, and a shop to write no more.
	unknown []string
}

// publicSets are the sets that the shipped model is trained with, besides the grammars.
func publicSets() []public {
	clinc := map[string]string{
		"order_status": "order_status", "greeting": "greeting", "thank_you": "thanks", "are_you_a_bot": "other",
		"what_is_your_name": "other", "who_made_you": "other", "what_are_your_hobbies": "other", "tell_joke": "other",
		"how_old_are_you": "other", "where_are_you_from": "other", "what_can_i_ask_you": "other", "do_you_have_pets": "other",
		"goodbye": "other", "who_do_you_work_for": "other", "fun_fact": "other",
	}
	for _, near := range []string{
		"cancel", "yes", "no", "maybe", "repeat", "damaged_card", "card_declined", "report_fraud", "report_lost_card", "order",
		"transactions", "redeem_rewards", "rewards_balance", "change_user_name", "calculator", "schedule_maintenance", "next_song",
		"cancel_reservation", "confirm_reservation", "reset_settings", "freeze_account", "account_blocked", "order_checks",
	} {
		clinc[near] = Unlabelled
	}
	bitext := map[string]string{
		"cancel_order": "cancel_order", "change_order": "order_issue", "change_shipping_address": "order_issue",
		"check_cancellation_fee": "product_question", "check_invoice": "other", "check_payment_methods": "product_question",
		"check_refund_policy": "return_refund", "complaint": "complaint", "contact_customer_service": "human",
		"contact_human_agent": "human", "create_account": "other", "delete_account": "other", "delivery_options": "product_question",
		"delivery_period": "order_status", "edit_account": "other", "get_invoice": "other", "get_refund": "return_refund",
		"newsletter_subscription": "other", "payment_issue": "order_issue", "place_order": "product_question",
		"recover_password": "other", "registration_problems": "other", "review": "other", "set_up_shipping_address": "other",
		"switch_account": "other", "track_order": "order_status", "track_refund": "return_refund",
	}
	hwu := map[string]string{}
	for _, near := range []string{
		"general_negate", "general_confirm", "general_praise", "general_dontcare", "general_repeat", "general_commandstop",
		"general_affirm", "general_explain", "takeaway_order", "takeaway_query", "general_joke", "general_quirky",
	} {
		hwu[near] = Unlabelled
	}
	const clincCredit = "CLINC150, OOS+ variant; Larson et al. 2019; CC BY 3.0"
	const hwuCredit = "HWU64; Liu, Eshghi, Swietojanski, Rieser 2019; CC BY 4.0"
	const bitextCredit = "Bitext customer support intents, 8,100 utterances; CDLA-Sharing 1.0"
	return []public{
		{file: "clinc150.train.tsv", credit: clincCredit, rest: None, labels: clinc, unknown: []string{"cancel"}},
		{file: "clinc150.val.tsv", credit: clincCredit, rest: None, labels: clinc, unknown: []string{"cancel"}},
		{file: "clinc150.oos_train.tsv", credit: clincCredit, rest: None},
		{file: "clinc150.oos_val.tsv", credit: clincCredit, rest: None},
		{file: "banking77.train.tsv", credit: "BANKING77; Casanueva et al. 2020; CC BY 4.0", rest: Unlabelled},
		{file: "hwu64.train.tsv", credit: hwuCredit, rest: None, labels: hwu, unknown: []string{"general_commandstop"}},
		{file: "hwu64.valid.tsv", credit: hwuCredit, rest: None, labels: hwu, unknown: []string{"general_commandstop"}},
		{file: "bitext.train.tsv", credit: bitextCredit, rest: Unlabelled, labels: bitext, unknown: []string{"newsletter_subscription"}},
		{file: "bitext.val.tsv", credit: bitextCredit, rest: Unlabelled, labels: bitext, unknown: []string{"newsletter_subscription"}},
		{file: "multidogo.smalltalk.train.tsv", credit: "MultiDoGO; Peskov et al. 2019; CDLA-Permissive 1.0", rest: Unlabelled,
			labels: map[string]string{"greeting": "greeting", "thanks": "thanks"}},
	}
}

// optOutsElsewhere returns the messages of natural.tsv, folded, by the set's name before the first dot of its files.
func optOutsElsewhere() (map[string]map[string]bool, error) {
	out := map[string]map[string]bool{}
	for line, columns := range tsv.Rows(optOutsOfSets) {
		if len(columns) != 3 || fold.String(columns[1]) != columns[1] {
			return nil, fmt.Errorf("natural.tsv line %d: want set, folded message, the set's label, divided by tabs", line)
		}
		if out[columns[0]] == nil {
			out[columns[0]] = map[string]bool{}
		}
		out[columns[0]][columns[1]] = true
	}
	return out, nil
}

// read returns the messages of a set. They are English.
func (p public) read(dir fs.FS) ([]Message, error) {
	optOuts, err := optOutsElsewhere()
	if err != nil {
		return nil, err
	}
	set, _, _ := strings.Cut(p.file, ".")
	document, err := fs.ReadFile(dir, p.file)
	if err != nil {
		return nil, fmt.Errorf("public set %s: %w", p.file, err)
	}
	var out []Message
	for n, line := range strings.Split(strings.TrimRight(string(document), "\n"), "\n") {
		columns := strings.Split(line, "\t")
		if len(columns) < 2 {
			return nil, fmt.Errorf("public set %s line %d: want text, label", p.file, n+1)
		}
		label, ok := p.labels[columns[1]]
		if !ok {
			label = p.rest
		}
		m := Message{Text: columns[0], Label: label, Language: "en", Natural: true, OptOutUnknown: optOuts[set][fold.String(columns[0])]}
		for _, u := range p.unknown {
			m.OptOutUnknown = m.OptOutUnknown || u == columns[1]
		}
		out = append(out, m)
	}
	return out, nil
}
