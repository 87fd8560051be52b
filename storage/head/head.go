package head

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// Options configure a Head. The zero value of each field is its default.
type Options struct {
	// IdentitySeed is the database's seed of series identities.
	IdentitySeed uint64
	// AliasBytesMax bounds the memory of the alias table; 0 = 256 MiB.
	AliasBytesMax int64
	// ExemplarsMax bounds the exemplars of a series in one buffer; 0 = 10.
	ExemplarsMax int
	// MetadataMax bounds the number of metrics with metadata; 0 = 200,000.
	MetadataMax int
}

func (o Options) withDefaults() Options {
	if o.AliasBytesMax == 0 {
		o.AliasBytesMax = 256 << 20
	}
	if o.ExemplarsMax == 0 {
		o.ExemplarsMax = 10
	}
	if o.MetadataMax == 0 {
		o.MetadataMax = 200_000
	}
	return o
}

// A Head holds the recently written series: labels, identities, aliases and index.
// It outlives the generations; their samples are in Buffers. It is safe for
// concurrent use.
//
// Locks are acquired in this order: order of series, buffer list, alias table,
// shard, metadata. No function holds the locks of two shards.
type Head struct {
	opts     Options
	newest   atomic.Uint64     // newest generation with a buffer, past or present
	live     atomic.Int64      // series
	owned    [256]atomic.Int64 // series by owner, see Claim
	aliases  aliasTable
	metadata metadataTable
	order    order
	buffers  struct {
		sync.Mutex
		live []*Buffer
	}
	shards [model.Shards]Shard
}

// New returns an empty head.
func New(o Options) *Head {
	h := &Head{opts: o.withDefaults()}
	for i := range h.shards {
		h.shards[i].init(h, i)
	}
	h.aliases.init(h.opts.AliasBytesMax)
	h.metadata.init(h.opts.MetadataMax)
	return h
}

// Shard returns shard i, 0 ≤ i < model.Shards.
func (h *Head) Shard(i int) *Shard { return &h.shards[i] }

// Find returns the identity of a series and its ref, 0 if the head does not have it. ls
// must be sorted and is not retained.
func (h *Head) Find(tenant uint32, ls labels.Labels) (model.Identity, model.Ref) {
	var buf [1024]byte
	id, _ := model.IdentityOf(h.opts.IdentitySeed, tenant, ls, buf[:0])
	s := &h.shards[id.Shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if slot, ok := s.find(id); ok {
		return id, model.MakeRef(s.number, slot, s.marks.at(slot).epoch)
	}
	return id, 0
}

// Register returns the ref of a series that Find did not find, and stores it under an
// alias. It is Resolve, SetAlias and Claim in one.
func (h *Head) Register(alias model.Hash, tenant uint32, id model.Identity, ls labels.Labels, owner uint8) (ref model.Ref, created bool) {
	s := &h.shards[id.Shard()]
	s.mu.Lock()
	slot, ok := s.find(id)
	if ok {
		ref = model.MakeRef(s.number, slot, s.marks.at(slot).epoch)
	} else if ref = s.create(tenant, id, ls); ref == 0 {
		s.mu.Unlock()
		return 0, false
	}
	s.claim(ref.Slot(), owner)
	s.mu.Unlock()
	h.setAlias(alias, ref)
	return ref, !ok
}

// Resolve returns the ref of a series, creating the series if it is new. ls must be
// sorted and valid and is not retained. The ref is 0 if the series cannot be stored:
// a label value exceeds 1 MiB, or the address space of a table is used up (2^28
// series or 4 GiB of labels in one of the 16 shards).
func (h *Head) Resolve(tenant uint32, ls labels.Labels) (ref model.Ref, created bool) {
	var buf [1024]byte
	id, _ := model.IdentityOf(h.opts.IdentitySeed, tenant, ls, buf[:0])
	s := &h.shards[id.Shard()]
	s.mu.RLock()
	slot, ok := s.find(id)
	if ok {
		ref = model.MakeRef(s.number, slot, s.marks.at(slot).epoch)
	}
	s.mu.RUnlock()
	if ok {
		return ref, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slot, ok := s.find(id); ok {
		return model.MakeRef(s.number, slot, s.marks.at(slot).epoch), false
	}
	ref = s.create(tenant, id, ls)
	return ref, ref != 0
}

// Labels returns the labels of the series of a ref, false if it was evicted.
func (h *Head) Labels(ref model.Ref) (tenant uint32, id model.Identity, ls labels.Labels, ok bool) {
	var b model.LabelBuilder
	return h.LabelsTo(ref, &b)
}

// LabelsTo is Labels for frequent calls: it reuses the memory of the builder, but
// not that of the labels.
func (h *Head) LabelsTo(ref model.Ref, b *model.LabelBuilder) (tenant uint32, id model.Identity, ls labels.Labels, ok bool) {
	s := &h.shards[ref.Shard()]
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !s.alive(ref) {
		return 0, model.Identity{}, labels.EmptyLabels(), false
	}
	r := s.series.at(ref.Slot())
	return r.tenant, r.id, s.labelsOf(ref.Slot(), b), true
}

// IDs sets ids, which is as long as refs, to the identities of the series of refs;
// the identity of an evicted series is zero. It is fast if refs of the same shard
// are adjacent.
func (h *Head) IDs(refs []model.Ref, ids []model.Identity) {
	for i := 0; i < len(refs); {
		s := &h.shards[refs[i].Shard()]
		s.mu.RLock()
		for until := min(i+idsPerLock, len(refs)); i < until && refs[i].Shard() == s.number; i++ {
			ids[i] = model.Identity{}
			if s.alive(refs[i]) {
				ids[i] = s.series.at(refs[i].Slot()).id
			}
		}
		s.mu.RUnlock()
	}
}

// idsPerLock bounds the refs IDs resolves per hold of a shard's lock.
const idsPerLock = 1024

// Definition is a series as it is defined in the log.
type Definition struct {
	Slot   uint32
	Tenant uint32
	ID     model.Identity
	Labels []labels.Label // sorted by name; the strings may be kept, the slice not
	// Same has, for each label, the index of the same label in the definition before, or
	// -1.
	Same []int

	terms, last []uint32
}

// Definitions calls define for each of the slots of a shard that holds a series, in
// order, with the definition to log. define runs under the shard's read lock and must
// not call methods of the head. d is scratch memory.
func (h *Head) Definitions(shard int, slots []uint32, d *Definition, define func(*Definition)) {
	s := &h.shards[shard]
	s.mu.RLock()
	defer s.mu.RUnlock()
	d.terms = d.terms[:0]
	for _, slot := range slots {
		if r := s.series.at(slot); r.id != (model.Identity{}) {
			d.Slot, d.Tenant, d.ID = slot, r.tenant, r.id
			d.terms, d.last = s.termsOf(slot, d.last[:0]), d.terms
			s.describe(d)
			define(d)
		}
	}
	clear(d.Labels[:cap(d.Labels)])
}

// describe sets the labels of a definition from its terms.
func (s *Shard) describe(d *Definition) {
	d.Labels, d.Same = d.Labels[:0], d.Same[:0]
	at := 1 // in the terms of the definition before; terms of rising names
	for _, id := range d.terms[1:] {
		t := s.dict.terms.at(id)
		name, same := s.dict.names[t.name].name, -1
		for at < len(d.last) && d.last[at] != id && s.dict.names[s.dict.terms.at(d.last[at]).name].name < name {
			at++
		}
		if at < len(d.last) && d.last[at] == id {
			same = at - 1
		}
		d.Labels, d.Same = append(d.Labels, labels.Label{Name: name, Value: s.value(t)}), append(d.Same, same)
	}
}

// Stats are the sizes of a head's tables.
type Stats struct {
	Series  int   // series known
	Slots   int   // slots of series, including free ones
	Terms   int   // name=value pairs, by shard
	Aliases int   // aliases known
	Bytes   int64 // memory of all tables, without the buffers
}

// Stats returns the sizes of the tables. It takes the shards' locks in turn.
func (h *Head) Stats() Stats {
	var st Stats
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.RLock()
		st.Series += s.live
		st.Slots += int(s.slots)
		st.Terms += int(s.dict.n - s.dict.dead)
		st.Bytes += s.marks.bytes() + s.series.bytes() + s.metric.bytes() + s.owner.bytes() + s.text.held + s.dict.bytes() + s.lists.held +
			int64(cap(s.ids.table)+cap(s.free)+cap(s.condemned))*4 + int64(cap(s.fresh))*8
		s.mu.RUnlock()
	}
	n, bytes := h.aliases.stats()
	st.Aliases = n
	st.Bytes += bytes + h.order.bytes.Load()
	return st
}

// Series returns the number of series in the head.
func (h *Head) Series() int64 { return h.live.Load() }

// Owned returns the number of series that an owner has claimed and that are still in
// the head.
func (h *Head) Owned(owner uint8) int64 { return h.owned[owner].Load() }

// Claim makes owner that of a series that has none, and of which the ref is current.
// The owner is the writer that first sent the series to this process; 0 is none.
func (h *Head) Claim(ref model.Ref, owner uint8) {
	s := &h.shards[ref.Shard()]
	s.mu.RLock()
	claimed := !s.alive(ref) || *s.owner.at(ref.Slot()) != 0
	s.mu.RUnlock()
	if claimed {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive(ref) {
		return
	}
	s.claim(ref.Slot(), owner)
}

// claim is Claim for the series in a slot.
func (s *Shard) claim(slot uint32, owner uint8) {
	if o := s.owner.at(slot); *o == 0 && owner != 0 {
		*o = owner
		s.head.owned[owner].Add(1)
	}
}
