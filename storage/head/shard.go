package head

import (
	"encoding/binary"
	"slices"
	"sync"

	commonmodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// A Shard holds a sixteenth of the series, selected by the low bits of their
// identity: their tables and, under the same lock, their part of every Buffer.
// Methods that end in Locked require Lock; the others acquire it themselves.
type Shard struct {
	mu sync.RWMutex

	number int
	head   *Head

	slots  uint32       // slots ever used; the records below it exist
	marks  slab[mark]   // by slot
	series slab[series] // by slot
	metric slab[uint8]  // by slot: model.MetricNumber
	owner  slab[uint8]  // by slot: see Claim
	text   arena        // values of the dictionary, packed label ids
	dict   dictionary
	lists  pool[uint32] // postings
	ids    identities

	free      []uint32    // slots available to new series
	condemned []uint32    // slots whose series the last eviction removed
	fresh     []model.Ref // series created since the last update of the order

	created       []uint32 // terms of the series created last, none once they have got other numbers
	createdNext   []uint32 // scratch
	createdTenant uint32
	live          int    // series
	garbage       int64  // bytes of text used only by evicted series
	packed        uint32 // number of times the tables were repacked, which invalidates older term ids
	evictions     uint64 // series evicted so far

	_ [64]byte // keeps the locks of adjacent shards on different cache lines
}

// mark is checked for every sample of a batch.
type mark struct {
	epoch uint32 // of the series in the slot; it changes when the series is evicted
	used  uint32 // generation whose log defines the series, or bornFlag and the generation of its creation
}

// bornFlag marks a series that no generation defines yet.
const bornFlag = 1 << 31

// lastEpoch is never the epoch of a series: a slot that reaches it is retired.
const lastEpoch = ^uint32(0)

// generationMark truncates a generation to the bits of mark.used. Generations far
// enough apart to be confused never occur in one process.
func generationMark(gen uint64) uint32 { return uint32(gen) &^ bornFlag }

// usedBefore reports whether used, of a mark, is before generation gen.
func usedBefore(used uint32, gen uint64) bool {
	return int32((used&^bornFlag-generationMark(gen))<<1) < 0
}

// series is the part of a series that outlives generations.
type series struct {
	id     model.Identity
	labels uint32 // address of the packed label ids
	tenant uint32
}

const (
	markBytes   = 8
	seriesBytes = 24
)

func (s *Shard) init(h *Head, number int) {
	s.head, s.number = h, number
	s.marks = newSlab[mark](markBytes)
	s.series = newSlab[series](seriesBytes)
	s.metric = newSlab[uint8](1)
	s.owner = newSlab[uint8](1)
	s.dict = newDictionary()
	s.lists = newPool[uint32](4, 1)
}

// Lock takes the shard's lock.
func (s *Shard) Lock() { s.mu.Lock() }

// Unlock releases the shard's lock.
func (s *Shard) Unlock() { s.mu.Unlock() }

// alive reports whether a ref's series is still in its slot.
func (s *Shard) alive(ref model.Ref) bool {
	slot := ref.Slot()
	return slot < s.slots && s.marks.at(slot).epoch == ref.Epoch() && ref.Epoch() != 0
}

// AliveLocked reports whether the ref's series is still in its slot.
func (s *Shard) AliveLocked(ref model.Ref) bool { return s.alive(ref) }

// EvictionsLocked returns the number of series evicted so far. Refs that CheckLocked has
// found current are so while it is the same.
func (s *Shard) EvictionsLocked() uint64 { return s.evictions }

// CheckLocked checks the refs of a batch, all of this shard. It appends the slots
// that the log of generation gen does not define yet to undefined, rising and
// without duplicates, and counts the stale refs, which refer to no series; their
// slots are not appended and must not be written to.
func (s *Shard) CheckLocked(gen uint64, refs []model.Ref, undefined []uint32) (_ []uint32, stale int) {
	have := len(undefined)
	want := generationMark(gen)
	for _, ref := range refs {
		slot := ref.Slot()
		if slot >= s.slots {
			stale++
			continue
		}
		m := s.marks.at(slot)
		switch {
		case m.epoch != ref.Epoch():
			stale++
		case m.used != want:
			undefined = append(undefined, slot)
		}
	}
	if added := undefined[have:]; len(added) > 1 {
		slices.Sort(added)
		undefined = undefined[:have+len(slices.Compact(added))]
	}
	return undefined, stale
}

// MarkDefinedLocked records that the log of generation gen defines the slots.
func (s *Shard) MarkDefinedLocked(gen uint64, slots []uint32) {
	for _, slot := range slots {
		s.marks.at(slot).used = generationMark(gen)
	}
}

// Metrics appends to dst, for each of the slots, the model.MetricNumber of the
// series that is or was in it. The slots must come from refs.
func (s *Shard) Metrics(slots []uint32, dst []uint8) []uint8 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, slot := range slots {
		dst = append(dst, *s.metric.at(slot))
	}
	return dst
}

// create adds a new series. It returns 0 if the shard is full: no slot or no room
// for its labels is left.
func (s *Shard) create(tenant uint32, id model.Identity, ls labels.Labels) model.Ref {
	last := s.created // series of one target follow each other: most labels are those of the last
	terms, ok := s.createdNext[:0], true
	if len(last) > 0 && s.createdTenant == tenant {
		terms = append(terms, last[0])
	} else {
		terms, ok = s.internTenant(terms, tenant)
	}
	metric, at := "", 1
	ls.Range(func(l labels.Label) {
		if !ok {
			return
		}
		if l.Name == commonmodel.MetricNameLabel {
			metric = l.Value
		}
		name := ""
		for ; at < len(last); at++ {
			if name = s.dict.names[s.dict.terms.at(last[at]).name].name; name >= l.Name {
				break
			}
		}
		var t uint32
		if at == len(last) || name != l.Name {
			t, ok = s.intern(s.dict.addName(l.Name), l.Value)
		} else if e := s.dict.terms.at(last[at]); s.value(e) == l.Value {
			t = last[at]
		} else {
			t, ok = s.intern(e.name, l.Value)
		}
		terms = append(terms, t)
	})
	s.created, s.createdNext = terms, last
	if !ok {
		s.created = s.created[:0]
		return 0
	}
	s.createdTenant = tenant
	return s.add(tenant, id, metric, terms)
}

// internTenant appends the term of a tenant.
func (s *Shard) internTenant(dst []uint32, tenant uint32) ([]uint32, bool) {
	var buf [4]byte
	binary.BigEndian.PutUint32(buf[:], tenant)
	t, ok := s.intern(s.dict.addName(tenantName), view(buf[:]))
	return append(dst, t), ok
}

// add adds a new series of the terms of its tenant and labels, in order. It returns 0
// if the shard is full.
func (s *Shard) add(tenant uint32, id model.Identity, metric string, terms []uint32) model.Ref {
	recycled := len(s.free) > 0
	if !recycled && s.slots >= model.MaxSlots-1 { // the last slot would be mistaken for a free entry of the identity index
		return 0
	}
	run, ok := s.pack(terms)
	if !ok {
		return 0
	}
	var slot uint32
	if recycled {
		slot = s.free[len(s.free)-1]
		s.free = s.free[:len(s.free)-1]
	} else {
		slot = s.slots
		s.slots++
		s.marks.ensure(s.slots)
		s.series.ensure(s.slots)
		s.metric.ensure(s.slots)
		s.owner.ensure(s.slots)
		s.marks.at(slot).epoch = 1
	}
	m := s.marks.at(slot)
	m.used = generationMark(s.head.newest.Load()) | bornFlag
	*s.series.at(slot) = series{id: id, labels: run, tenant: tenant}
	*s.metric.at(slot) = model.MetricNumber(metric)
	for _, t := range terms {
		p := &s.dict.terms.at(t).list
		if p.len() == 0 {
			s.dict.dead--
		}
		s.addPosting(p, slot)
	}
	s.put(slot, id)
	s.live++
	s.head.live.Add(1)
	ref := model.MakeRef(s.number, slot, m.epoch)
	s.fresh = append(s.fresh, ref)
	return ref
}

// pack writes the ids of a series' labels to the arena: their number, then the
// term of the tenant, then the terms in the order of the names, all uvarints.
func (s *Shard) pack(terms []uint32) (addr uint32, ok bool) {
	var buf [256]byte
	run := appendRun(buf[:0], terms)
	addr, dst, ok := s.text.alloc(len(run))
	copy(dst, run)
	return addr, ok
}

func appendRun(dst []byte, terms []uint32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(terms)))
	for _, t := range terms {
		dst = binary.AppendUvarint(dst, uint64(t))
	}
	return dst
}

// termsOf appends the terms of a series to dst, the tenant's first.
func (s *Shard) termsOf(slot uint32, dst []uint32) []uint32 {
	b := s.text.from(s.series.at(slot).labels)
	n, k := uvarint(b)
	for range n {
		b = b[k:]
		var t uint64
		t, k = uvarint(b)
		dst = append(dst, uint32(t))
	}
	return dst
}

// uvarint is binary.Uvarint with its most common cases inlined.
func uvarint(b []byte) (uint64, int) {
	if b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return binary.Uvarint(b)
}

// labelsOf builds the labels of a series.
func (s *Shard) labelsOf(slot uint32, b *model.LabelBuilder) labels.Labels {
	b.Reset()
	var buf [64]uint32
	for _, t := range s.termsOf(slot, buf[:0])[1:] {
		t := s.dict.terms.at(t)
		b.Add(s.dict.names[t.name].name, s.value(t))
	}
	return b.Labels()
}
