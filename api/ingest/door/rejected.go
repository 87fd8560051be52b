package door

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tsdb/api/reqbody"
	"tsdb/internal/vfs"
	"tsdb/storage"
)

// maxRefusals is the number of refusals that are kept of each door and reason.
const maxRefusals = 10

// Refusal is a refusal of one request for one reason.
type Refusal struct {
	Time    time.Time // of the refusal
	Samples int       // refused samples, 0 if the request was refused as a whole
	Series  string    // one of them
	T       int64     // its time, Unix milliseconds; 0 where time plays no part
	Detail  string
}

// Refusals are those of a door for a reason.
type Refusals struct {
	Door, Reason string
	Requests     int64     // with refusals
	Samples      int64     // refused
	Last         []Refusal // the newest first
}

// Rejected remembers the last refusals of every door, by reason. It holds no headers
// and parameters of requests. It is safe for concurrent use.
type Rejected struct {
	clock vfs.Clock
	since time.Time

	mu   sync.Mutex
	rows map[rejectedKey]*rejectedRow
}

type rejectedKey struct{ door, reason string }

type rejectedRow struct {
	requests, samples int64
	ring              [maxRefusals]Refusal
	next              int // index of the oldest one
	n                 int
}

func newRejected(clock vfs.Clock) *Rejected {
	return &Rejected{clock: clock, since: clock.Now(), rows: map[rejectedKey]*rejectedRow{}}
}

// Since returns the time from which on refusals are counted.
func (r *Rejected) Since() time.Time { return r.since }

// add adds a refusal. Doors and reasons are few.
func (r *Rejected) add(door, reason string, x Refusal) {
	x.Time = r.clock.Now()
	x.Series, x.Detail = Clip(x.Series, MaxExcerptBytes), Clip(x.Detail, maxDetailBytes)
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.rows[rejectedKey{door, reason}]
	if row == nil {
		row = &rejectedRow{}
		r.rows[rejectedKey{door, reason}] = row
	}
	row.requests++
	row.samples += int64(x.Samples)
	row.ring[row.next] = x
	row.next = (row.next + 1) % maxRefusals
	row.n = min(row.n+1, maxRefusals)
}

// List returns the refusals by door and reason.
func (r *Rejected) List() []Refusals {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Refusals
	for k, row := range r.rows {
		x := Refusals{Door: k.door, Reason: k.reason, Requests: row.requests, Samples: row.samples}
		for i := range row.n {
			x.Last = append(x.Last, row.ring[(row.next-1-i+2*maxRefusals)%maxRefusals])
		}
		all = append(all, x)
	}
	slices.SortFunc(all, func(a, b Refusals) int {
		return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(a.Reason, b.Reason))
	})
	return all
}

// Reasons of requests that are refused as a whole.
const (
	reasonMalformed   = "request_malformed"
	reasonTooLarge    = "request_too_large"
	reasonUnavailable = "unavailable" // the client is asked to send it again
	reasonInternal    = "internal"
)

// RefusedRequest records a request that a door has refused as a whole. Those that the
// client has ended are not recorded.
func (s *Shared) RefusedRequest(door string, err error) {
	var request *RequestError
	reason := reasonInternal
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return
	case errors.Is(err, reqbody.ErrTooLarge):
		reason = reasonTooLarge
	case Retryable(err):
		reason = reasonUnavailable
	case errors.As(err, &request), errors.Is(err, reqbody.ErrRead):
		reason = reasonMalformed
	}
	s.Rejected.add(door, reason, Refusal{Detail: err.Error()})
}

// DroppedLines records n lines that did not get as far as a door's decoder, or that
// could not be stored; detail describes one of them.
func (s *Shared) DroppedLines(door, reason, detail string, n int) {
	s.Rejected.add(door, reason, Refusal{Samples: n, Detail: detail})
}

// refused records the refusals of a receipt.
func (s *Shared) refused(door string, r storage.Receipt) {
	for _, x := range r.Rejected {
		s.Rejected.add(door, string(x.Reason), Refusal{Samples: x.Count, Series: x.Series, T: x.T, Detail: x.Detail})
	}
}
