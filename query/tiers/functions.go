package tiers

// AllSamples stands for the function of a range selector that is the whole query.
const AllSamples = "a range selector"

// answer tells how buckets answer a function.
type answer struct {
	answers bool // they do
	endOnly bool // the end of a window is enough, so that its beginning may cut a bucket
}

// answered holds the functions that buckets can answer.
var answered = map[string]answer{
	"": {true, true}, "timestamp": {true, true}, // instant selectors
	"last_over_time": {true, true}, "ts_of_last_over_time": {true, true}, "present_over_time": {true, true}, "absent_over_time": {true, true},
	"irate": {true, true}, "idelta": {true, true},
	"rate": {answers: true}, "increase": {answers: true}, "delta": {answers: true},
	"count_over_time": {answers: true}, "first_over_time": {answers: true}, "ts_of_first_over_time": {answers: true},
	"max_over_time": {answers: true}, "min_over_time": {answers: true}, "sum_over_time": {answers: true}, "avg_over_time": {answers: true},
	"changes": {answers: true}, "resets": {answers: true},
}
