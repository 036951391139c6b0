package main

// beside is a record that a bare hop writes with every one it passes on.
type beside struct {
	Topic string
	Bytes int
}

// Topics of what hops write beside.
const (
	topicBeside    = "chain-beside"
	topicChangelog = "chain-changelog"
)

// stageWrites is what classify, consent and escalate write for a person's first text beside the record that
// goes on, in bytes of the values; docs/bench.md names each. Hops that write as much and decide nothing, with
// deliver and analytics left out, are the most that any engine could make of the pipeline's records.
var stageWrites = [3][]beside{
	{ // classify
		{topicBeside, 258}, // message fact
		{topicChangelog, 4},
	},
	{ // consent
		{topicBeside, 138},                        // consent change, to deliver
		{topicBeside, 223},                        // consent fact
		{topicBeside, 223},                        // the same for the platform
		{topicChangelog, 16}, {topicChangelog, 2}, // conversation, head of the ledger
		{topicChangelog, 138}, {topicChangelog, 14}, // line of the ledger, consent now
		{topicChangelog, 8}, // timer of the evidence
	},
	{ // escalate
		{topicBeside, 255},                          // episode fact
		{topicBeside, 345},                          // message fact of the offer
		{topicBeside, 151},                          // what was asked, to classify
		{topicChangelog, 56}, {topicChangelog, 162}, // conversation, episode
		{topicChangelog, 90}, {topicChangelog, 223}, // thread
		{topicChangelog, 8}, {topicChangelog, 8}, {topicChangelog, 8}, {topicChangelog, 8}, // timers
	},
}

// besideMost is the largest of them.
func besideMost(all []beside) (most int) {
	for _, b := range all {
		most = max(most, b.Bytes)
	}
	return most
}
