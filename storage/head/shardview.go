package head

import (
	"slices"
	"strings"

	"tsdb/internal/model"
)

// shardView reads, without the shard's lock, the labels of the series that a shard had
// when the view was taken. It reads only immutable data: the bytes of the arena,
// names, the name and value of a term, and, as long as no series is evicted, the epoch
// and labels of a series. So callers hold the order's lock, which excludes Evict.
type shardView struct {
	marks  slab[mark]
	series slab[series]
	terms  slab[term]
	text   arena
	names  []nameEntry // only the names themselves
	nTerms uint32
}

// view returns a view of the shard, whose lock the caller holds.
func (s *Shard) view() shardView {
	return shardView{
		marks: s.marks.view(), series: s.series.view(), terms: s.dict.terms.view(),
		text:  arena{chunks: slices.Clone(s.text.chunks)},
		names: s.dict.names, nTerms: s.dict.n,
	}
}

// view returns a slab with the present records of s, which later changes of s do not
// affect.
func (s *slab[T]) view() slab[T] {
	return slab[T]{chunks: slices.Clone(s.chunks), shift: s.shift, size: s.size}
}

// alive reports whether a ref, made before the view was taken, names a series.
func (v *shardView) alive(ref model.Ref) bool {
	return v.marks.at(ref.Slot()).epoch == ref.Epoch()
}

// run returns the packed term ids of a series, the tenant's first, and their number.
func (v *shardView) run(slot uint32) (ids []byte, n int) {
	b := v.text.from(v.series.at(slot).labels)
	c, k := uvarint(b)
	return b[k:], int(c)
}

func (v *shardView) name(t uint32) string { return v.names[v.terms.at(t).name].name }

func (v *shardView) value(t uint32) string {
	e := v.terms.at(t)
	return view(v.text.from(e.value)[:e.size])
}

// labelCursor walks the terms of a series in the order in which they are
// compared: tenant, metric name, the others.
type labelCursor struct {
	v     *shardView
	ids   []byte
	left  int
	state uint8
}

const (
	atTenant = iota
	atMetric
	atOthers
)

func (v *shardView) cursor(slot uint32) labelCursor {
	ids, n := v.run(slot)
	return labelCursor{v: v, ids: ids, left: n}
}

// next returns the next term. ok is false at the end and, with end false, instead of
// a missing metric name.
func (c *labelCursor) next() (t uint32, ok, end bool) {
	switch c.state {
	case atTenant:
		c.state = atMetric
		return c.take(), true, false
	case atMetric:
		c.state = atOthers
		ids, left := c.ids, c.left
		for left > 0 {
			id, k := uvarint(ids)
			ids = ids[k:]
			left--
			if c.v.name(uint32(id)) == metricName {
				return uint32(id), true, false
			}
		}
		return 0, false, false
	}
	for c.left > 0 {
		if t := c.take(); c.v.name(t) != metricName {
			return t, true, false
		}
	}
	return 0, false, true
}

func (c *labelCursor) take() uint32 {
	id, k := uvarint(c.ids)
	c.ids = c.ids[k:]
	c.left--
	return uint32(id)
}

// compareSeries compares two series as blocks order them.
func compareSeries(va *shardView, a uint32, vb *shardView, b uint32) int {
	ca, cb := va.cursor(a), vb.cursor(b)
	for {
		ta, okA, endA := ca.next()
		tb, okB, endB := cb.next()
		switch {
		case endA && endB:
			return 0
		case endA:
			return -1
		case endB:
			return 1
		case !okA && !okB:
			continue
		case !okA:
			return -1
		case !okB:
			return 1
		}
		if va == vb && ta == tb {
			continue
		}
		if c := strings.Compare(va.name(ta), vb.name(tb)); c != 0 {
			return c
		}
		if c := strings.Compare(va.value(ta), vb.value(tb)); c != 0 {
			return c
		}
	}
}
