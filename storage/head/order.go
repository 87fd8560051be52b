package head

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// order keeps the series in the order of blocks from cut to cut: only new ones
// have to be sorted and merged in.
type order struct {
	mu   sync.Mutex
	refs []model.Ref
}

func (o *order) bytes() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return int64(cap(o.refs)) * 8
}

// Sorted returns the series with samples or exemplars in a buffer in the order
// of blocks: by tenant, then by the value of __name__, then by the other
// labels, name before value, a set before those it is the beginning of. A
// series that comes into the buffer meanwhile may be missing. The slice is the
// caller's.
func (h *Head) Sorted(b *Buffer) []model.Ref {
	o := &h.order
	o.mu.Lock()
	defer o.mu.Unlock()
	h.bringUpToDate()
	var refs []model.Ref
	for _, ref := range o.refs {
		if b.shards[ref.Shard()].present.has(ref.Slot()) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// sortKey is a series with its labels, while it is put in order.
type sortKey struct {
	ref    model.Ref
	tenant uint32
	ls     labels.Labels
}

func (a *sortKey) compare(b *sortKey) int {
	if a.tenant != b.tenant {
		if a.tenant < b.tenant {
			return -1
		}
		return 1
	}
	if c := strings.Compare(a.ls.Get(labels.MetricName), b.ls.Get(labels.MetricName)); c != 0 {
		return c
	}
	return labels.Compare(a.ls.DropMetricName(), b.ls.DropMetricName())
}

// bringUpToDate merges the series made since the last time into the order and
// drops those that have left. The caller holds the order's lock, so no series
// leaves meanwhile.
func (h *Head) bringUpToDate() {
	o := &h.order
	var fresh []sortKey
	var b labels.ScratchBuilder
	for i := range h.shards {
		s := &h.shards[i]
		s.mu.Lock()
		refs := s.fresh
		s.fresh = nil
		s.mu.Unlock()
		for _, ref := range refs {
			if tenant, _, ls, ok := h.LabelsTo(ref, &b); ok {
				fresh = append(fresh, sortKey{ref, tenant, ls})
			}
		}
	}
	o.refs = slices.DeleteFunc(o.refs, func(ref model.Ref) bool { return !h.alive(ref) })
	if len(fresh) == 0 {
		return
	}
	slices.SortFunc(fresh, func(a, b sortKey) int { return a.compare(&b) })
	merged := make([]model.Ref, 0, len(o.refs)+len(fresh))
	at := 0
	for i := range fresh {
		f := &fresh[i]
		// Galloping: a step is as long as the last one, doubled, until it is too far.
		n := sort.Search(len(o.refs)-at, func(k int) bool {
			tenant, _, ls, _ := h.Labels(o.refs[at+k])
			return f.compare(&sortKey{tenant: tenant, ls: ls}) < 0
		})
		merged = append(merged, o.refs[at:at+n]...)
		merged = append(merged, f.ref)
		at += n
	}
	o.refs = append(merged, o.refs[at:]...)
}
