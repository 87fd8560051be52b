package door

import (
	"context"
	"errors"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/storage"
)

// Store is the part of *storage.Batch that doors use. It must not use labels after Reset.
type Store interface {
	Reset()
	LookupAll(aliases []model.Hash, refs []model.Ref)
	Resolve(alias model.Hash, ls labels.Labels) (model.Ref, error)
	Drop(alias model.Hash) model.Ref
	Limit(l storage.SeriesLimits)
	Float(ref model.Ref, t, st int64, v float64)
	Histogram(ref model.Ref, t, st int64, h model.Histogram)
	Exemplar(ref model.Ref, e model.Exemplar)
	Metadata(metric string, m model.Metadata)
	Reject(reason storage.Reason, series string, t int64, detail string, n int)
	Rejected() int
	Newest(ref model.Ref) (int64, bool)
	Commit(ctx context.Context) (storage.Receipt, error)
}

// StaleRetries is the number of times a request is decoded again because one of
// its series was evicted between lookup and commit.
const StaleRetries = 3

// Store decodes the request into the batch and commits it. If it returns an error,
// none of the request is stored, or a part that a repetition does not double.
func (r *Request[D]) Store(ctx context.Context) (storage.Receipt, error) {
	if rules := r.door.shared.rules.Load(); rules != r.rules {
		r.use(rules) // they have changed since the request was acquired
		r.reseed()
	}
	r.storing = true
	receipt, err := r.Batch.store(ctx)
	r.storing = false
	r.door.shared.refused(r.door.name, receipt)
	// For the client what is dropped on purpose is done.
	receipt.Floats += receipt.Dropped.Floats
	receipt.Histograms += receipt.Dropped.Histograms
	receipt.Exemplars += receipt.Dropped.Exemplars
	return receipt, err
}

func (b *Batch) store(ctx context.Context) (storage.Receipt, error) {
	for attempt := 0; ; attempt++ {
		if err := b.decode(); err != nil {
			return storage.Receipt{}, err
		}
		r, err := b.out.Commit(ctx)
		if c, ok := b.decoder.(Confirmer); ok && err == nil {
			c.Confirm()
		}
		if err == nil || !errors.Is(err, storage.ErrStaleRef) || attempt == StaleRetries {
			return r, err
		}
	}
}

// decode adds the contents of the request to the emptied batch.
func (b *Batch) decode() error {
	b.out.Reset()
	b.Offered = Counts{}
	b.Labels.begin()
	b.aliases = b.aliases[:0]
	if err := b.decoder.Decode(b); err != nil {
		return err
	}
	return b.flush()
}
