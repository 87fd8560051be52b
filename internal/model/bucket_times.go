package model

import "slices"

// heldTimes says that rows of Buckets hold the times of a source.
type heldTimes struct {
	from, n int
	source  any
	at      int // the first in the source
}

// ExtendTimes is Extend for rows whose End, Count and times are copies of n rows of a source,
// from row at on. held tells that the new rows hold these already, because they did
// before b was truncated and nothing else has been written there since; otherwise the
// caller sets them. A source is compared with == and never changes.
//
// Series that are scraped together have equal times, so that a reader which
// appends them one after another to the same rows saves most of the copies.
func (b *Buckets) ExtendTimes(n int, source any, at int) (from int, held bool) {
	h := heldTimes{len(b.End), n, source, at}
	k := 0
	for ; k < len(b.held) && b.held[k].from+b.held[k].n <= h.from; k++ {
	}
	from = b.extend(n)
	if k < len(b.held) && b.held[k] == h { // there was room for them
		return from, true
	}
	clear(b.held[k:])
	b.held = append(b.held[:k], h)
	return from, false
}

// TimesSource identifies the times of rows: see SourceOfTimes.
type TimesSource []heldTimes

// SourceOfTimes returns what the times of all rows are copies of, false if that is not
// known. Rows with equal sources have equal End, Count and times. It is valid until b
// changes.
func (b *Buckets) SourceOfTimes() (TimesSource, bool) {
	n := 0 // they do not overlap: if they are as many as the rows they are all of them
	for k, h := range b.held {
		if n == len(b.End) {
			return b.held[:k], true
		}
		if h.from+h.n > len(b.End) {
			return nil, false
		}
		n += h.n
	}
	return b.held, n == len(b.End) && n > 0
}

// forget forgets which times the next n rows hold: they are about to be written to. Rows
// behind them stay what they are: there are none if there is too little memory for n.
func (b *Buckets) forget(n int) {
	from := len(b.End)
	b.held = slices.DeleteFunc(b.held, func(h heldTimes) bool { return h.from+h.n > from && h.from < from+n })
}
