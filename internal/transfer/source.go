package transfer

import (
	"context"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/block"
)

// A Source is where samples come from. It belongs to one goroutine.
type Source interface {
	// Plan returns what there is to read.
	Plan(ctx context.Context) (*Plan, error)
	// Read passes the series of a unit to emit, from position from on.
	Read(ctx context.Context, u Unit, from int64, emit Emit) error
	Close() error
}

// Plan is what a source has.
type Plan struct {
	Units []Unit
	// Min and Max are the times of the first and the last sample, both inclusive, in
	// Unix milliseconds; Min > Max if they are not known before everything is read.
	Min, Max int64
	// Loose says that there may be no samples at Min and Max, or none at all: they are
	// what was asked for.
	Loose bool
}

// Unit is a part of a source that is read at once.
type Unit struct {
	// ID identifies the unit in a State: equal IDs have equal samples.
	ID   string
	Name string // for people
	Size int64  // the position at its end, 0 if it is not known
	// Min and Max bound the times of its samples, both inclusive, in Unix milliseconds;
	// Min > Max if it has none; both 0 if they are not known.
	Min, Max int64
}

// DayOf returns the day that holds t, as the database has it: it begins a millisecond after
// midnight.
func DayOf(t int64) model.TimeRange { return block.Raw.PartitionRange(t) }

// Item is what a source emits: samples of one series, in any order, or the metadata of
// a metric. It is valid until emit returns.
type Item struct {
	Labels    labels.Labels
	Samples   *model.Samples
	Exemplars []model.Exemplar
	Metric    string // whose metadata it is; empty if it is none
	Metadata  model.Metadata
	// Refused is the number of samples, or lines, that the source cannot take; Reason,
	// Detail and Example say why, for one of them.
	Refused                 int
	Reason, Detail, Example string
	// Done is how far the unit is read, in the measure of its size; 0 = the position.
	Done int64
}

// Emit takes an item. pos is the position behind it, from which Read can go on later.
type Emit func(pos int64, item *Item) error

// A Target is where samples go. It belongs to one goroutine.
type Target interface {
	// Bounds returns the times of samples that are taken, both inclusive, and the name
	// of the setting that bounds the oldest.
	Bounds(ctx context.Context) (Bounds, error)
	// Add adds an item to the run.
	Add(ctx context.Context, item *Item) error
	// Full reports whether the run should be published.
	Full() bool
	// Publish makes the run durable and visible, and begins the next.
	Publish(ctx context.Context) (Receipt, error)
	Close() error
}

// Receipt is the result of a run.
type Receipt struct {
	Samples  int64       `json:"samples"` // taken, repetitions included
	Blocks   int         `json:"blocks"`
	Direct   int         `json:"direct"` // blocks in their final form
	Bytes    int64       `json:"bytes"`
	Rejected []Rejection `json:"rejected,omitempty"`
}

// Rejection counts samples that were refused for one reason, with an example.
type Rejection struct {
	Reason string `json:"reason"`
	Rule   string `json:"rule,omitempty"` // retention rule that bounds the times of its series
	Count  int64  `json:"count"`
	Series string `json:"series,omitempty"`
	Detail string `json:"detail"`
}

// Add adds the figures of another receipt.
func (r *Receipt) Add(o Receipt) {
	r.Samples += o.Samples
	r.Blocks += o.Blocks
	r.Direct += o.Direct
	r.Bytes += o.Bytes
	for _, x := range o.Rejected {
		r.reject(x)
	}
}

func (r *Receipt) reject(x Rejection) {
	if i := r.index(&x); i >= 0 {
		r.Rejected[i].Count += x.Count
		return
	}
	r.Rejected = append(r.Rejected, x)
}

// has reports whether there is an example of a rejection.
func (r *Receipt) has(x *Rejection) bool { return r.index(x) >= 0 }

func (r *Receipt) index(x *Rejection) int {
	return slices.IndexFunc(r.Rejected, func(o Rejection) bool { return o.Reason == x.Reason && o.Rule == x.Rule })
}

// Refused returns the number of samples that were refused.
func (r *Receipt) Refused() (n int64) {
	for _, x := range r.Rejected {
		n += x.Count
	}
	return n
}
