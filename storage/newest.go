package storage

import "tsdb/internal/model"

// Newest returns the time of the newest sample of a series that is in memory, in Unix
// milliseconds, without those of this batch. It returns false if there is none, which
// is also so after a cut that has taken all of them.
func (b *Batch) Newest(ref model.Ref) (t int64, ok bool) {
	if ref.Epoch() == 0 {
		return 0, false
	}
	v, err := b.db.View()
	if err != nil {
		return 0, false // Commit returns why
	}
	defer v.Release()
	for _, buffer := range v.st.buffers() {
		if span, has := buffer.Span(ref); has && (!ok || span.Max-1 > t) {
			t, ok = span.Max-1, true
		}
	}
	return t, ok
}
