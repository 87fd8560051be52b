package head

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// AppendExemplarsLocked writes exemplars to a buffer. A series keeps the newest
// Options.ExemplarsMax of them, by time; duplicates are ignored. It returns the
// number dropped because of the limit, including new ones older than all that are
// kept.
func (s *Shard) AppendExemplarsLocked(b *Buffer, slots []uint32, es []model.Exemplar) (dropped int) {
	p := &b.shards[s.number]
	p.begin(s.slots)
	if p.deleting != nil {
		p.markFirst(slots)
	}
	news := int64(0)
	for i, slot := range slots {
		st := p.states.at(slot)
		p.note(slot)
		grown, dropOne := p.insertExemplar(p.extraOf(st), es[i], s.head.opts.ExemplarsMax)
		if grown {
			news++
		}
		if dropOne {
			dropped++
		}
	}
	if news > 0 {
		p.stats.exemplars.Add(news)
	}
	p.finish(0, math.MaxInt64, math.MinInt64)
	return dropped
}

// exemplarSlot is one exemplar: its bytes lie in space.
type exemplarSlot struct {
	t     int64
	at    uint32
	bytes uint32
}

// appendExemplar appends the value bits (8) and the labels of an exemplar, each
// name and value preceded by its length as a uvarint.
func appendExemplar(dst []byte, e model.Exemplar) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(e.V))
	return model.AppendLabels(dst, e.Labels)
}

func decodeExemplar(t int64, src []byte) model.Exemplar {
	e := model.Exemplar{T: t, V: math.Float64frombits(binary.LittleEndian.Uint64(src))}
	src = src[8:]
	var b labels.ScratchBuilder
	field := func() string {
		n, k := binary.Uvarint(src)
		f := src[k : k+int(n)]
		src = src[k+int(n):]
		return string(f)
	}
	for len(src) > 0 {
		name := field()
		b.Add(name, field())
	}
	e.Labels = b.Labels()
	return e
}

// insertExemplar inserts an exemplar, sorted by time and then by arrival. If the
// series already has limit exemplars, the oldest is dropped.
func (p *bufferShard) insertExemplar(x *extra, e model.Exemplar, limit int) (grown, dropped bool) {
	sc := &p.scratch
	sc.bytes = appendExemplar(sc.bytes[:0], e)
	list := p.exs.get(x.exs, int(x.nExs))
	i := len(list)
	for i > 0 && list[i-1].t > e.T {
		i--
	}
	for k := i; k > 0 && list[k-1].t == e.T; k-- {
		if slices.Equal(p.space.get(list[k-1].at, int(list[k-1].bytes)), sc.bytes) {
			return false, false
		}
	}
	dropped = len(list) >= limit
	switch {
	case dropped && i == 0:
		return false, true
	case dropped:
		p.space.release(list[0].at, int(list[0].bytes))
		i--
		copy(list, list[1:i+1])
	default:
		x.exs = widen(&p.exs, x.exs, int(x.nExs))
		x.nExs++
		list = p.exs.get(x.exs, int(x.nExs))
		copy(list[i+1:], list[i:])
	}
	h := p.space.alloc(len(sc.bytes))
	copy(p.space.get(h, len(sc.bytes)), sc.bytes)
	list[i] = exemplarSlot{t: e.T, at: h, bytes: uint32(len(sc.bytes))}
	return !dropped, dropped
}

// Exemplars returns the exemplars of a series in the buffer, by time.
func (b *Buffer) Exemplars(ref model.Ref) []model.Exemplar {
	defer runlock(b.rlock(ref.Shard()))
	p := &b.shards[ref.Shard()]
	if !p.present.has(ref.Slot()) {
		return nil
	}
	st := p.states.at(ref.Slot())
	if st.extra == 0 {
		return nil
	}
	x := p.extras.at(st.extra)
	var es []model.Exemplar
	for _, e := range p.exs.get(x.exs, int(x.nExs)) {
		es = append(es, decodeExemplar(e.t, p.space.get(e.at, int(e.bytes))))
	}
	return es
}
