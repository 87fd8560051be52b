package block

import "github.com/zeebo/xxh3"

const (
	DefaultDedupeColumns = 1 << 16 // columns remembered in each of two generations, about 100 bytes each
	dedupeBytesMin       = 64      // a second reference to a value column gains nothing below
)

// contentKey is a 128-bit hash of a column's content.
type contentKey = xxh3.Uint128

// Hash seeds, which distinguish the sources of content keys.
const (
	seedTimes   = 1 // timestamps
	seedEncoded = 2 // encoded bytes
	seedBuckets = 3 // times of buckets
)

func keyOfTimes(ts []int64) contentKey { return xxh3.Hash128Seed(timeBytes(ts), seedTimes) }

// keyOfEncoded returns the key of an encoded column. It includes the count of
// values, which the bytes do not tell: a constant step is encoded the same for
// any count.
func keyOfEncoded(b []byte, count int) contentKey {
	return xxh3.Hash128Seed(b, uint64(count)<<8|seedEncoded)
}

// storedColumn is a column that has been laid out. Within the directory page
// numbered page its location is ref; other pages find it through frame, which is
// set once that page has been written.
type storedColumn struct {
	page  uint32
	index uint32 // of time columns: number in the page
	ref   columnRef
	frame frame
}

// dedupe finds equal columns laid out before. Its memory is bounded: the columns
// not used during the last max insertions are evicted first.
type dedupe struct {
	max        int
	young, old map[contentKey]storedColumn
	fresh      []contentKey // laid out since the last resolve
}

func (d *dedupe) get(k contentKey) (storedColumn, bool) {
	if s, ok := d.young[k]; ok {
		return s, true
	}
	s, ok := d.old[k]
	if ok {
		d.put(k, s)
	}
	return s, ok
}

// add remembers a column just laid out in the page under construction.
func (d *dedupe) add(k contentKey, s storedColumn) {
	d.put(k, s)
	d.fresh = append(d.fresh, k)
}

func (d *dedupe) put(k contentKey, s storedColumn) {
	if len(d.young) >= d.max || d.young == nil {
		d.old, d.young = d.young, make(map[contentKey]storedColumn)
	}
	d.young[k] = s
}

// resolve sets the offsets of the frames of the page in the fresh columns.
func (d *dedupe) resolve(frames []frame) {
	for _, k := range d.fresh {
		m := d.young
		s, ok := m[k]
		if !ok {
			m = d.old
			s, ok = m[k]
		}
		if ok && s.ref.frame != inlineFrame {
			s.frame = frames[s.ref.frame]
			m[k] = s
		}
	}
	d.fresh = d.fresh[:0]
}

// singleTimes finds time columns of the page under construction that have one time. They
// are short, so that pages do not share them: to look them up in a dedupe, by hashes of
// their content, takes longer than all else that is done for a series of one sample.
type singleTimes struct {
	slots []singleTime // open addressing, never more than half full
}

// singleTime is a column of a page: of an earlier one, the slot is free.
type singleTime struct {
	at     int64
	page   uint32
	number uint32
}

const singleSlotBits = 11 // 2 pageRows slots

// find returns the number of the column with the time at in a page, and reports true. If
// there is none, it records next as its number, and returns it.
func (s *singleTimes) find(at int64, page, next uint32) (number uint32, known bool) {
	if s.slots == nil {
		s.slots = make([]singleTime, 1<<singleSlotBits)
	}
	for i := uint64(at) * 0x9e3779b97f4a7c15 >> (64 - singleSlotBits); ; i = (i + 1) % (1 << singleSlotBits) {
		switch slot := &s.slots[i]; {
		case slot.page != page:
			*slot = singleTime{at, page, next}
			return next, false
		case slot.at == at:
			return slot.number, true
		}
	}
}
