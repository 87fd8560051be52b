package transfer

import (
	"context"

	"tsdb/storage"
)

// DB is the Target of a database in this process.
type DB struct {
	db     *storage.DB
	im     *storage.Import
	Tenant uint32
}

// NewDB returns a target. The caller closes the database after it. runBytes is the
// memory of a run; 0 = the default.
func NewDB(db *storage.DB, tenant uint32, runBytes int64) *DB {
	return &DB{db: db, im: db.NewImport(storage.ImportOptions{Tenant: tenant, RunBytes: runBytes}), Tenant: tenant}
}

// Keep bounds the times of samples that are taken by another retention than that of the
// database. It must be called before the first Add.
func (d *DB) Keep(r storage.Retention) error { return d.im.Keep(r) }

// Bounds implements Target.
func (d *DB) Bounds(context.Context) (Bounds, error) {
	oldest, newest := d.im.Bounds()
	return newBounds(oldest, newest, d.im.RawLimits(), d.im.OldestSetting()), nil
}

// BoundsOf returns the times of samples that a database takes.
func BoundsOf(db *storage.DB) Bounds {
	oldest, newest := db.Bounds()
	return newBounds(oldest, newest, db.RawLimits(), db.OldestSetting())
}

// Add implements Target.
func (d *DB) Add(ctx context.Context, item *Item) error {
	if item.Metric != "" {
		d.im.Metadata(item.Metric, item.Metadata)
	}
	if item.Samples == nil {
		return nil
	}
	if reason, detail := CheckLabels(item.Labels); reason != "" {
		d.im.Reject(reason, item.Labels.String(), detail, item.Samples.Len())
		return nil
	}
	if err := d.im.Add(ctx, item.Labels, item.Samples); err != nil {
		return err
	}
	for _, e := range item.Exemplars {
		if err := d.im.Exemplar(item.Labels, e); err != nil {
			return err
		}
	}
	return nil
}

// Full implements Target.
func (d *DB) Full() bool { return d.im.Full() }

// Publish implements Target.
func (d *DB) Publish(ctx context.Context) (Receipt, error) {
	got, err := d.im.Publish(ctx)
	if err != nil {
		return Receipt{}, err
	}
	r := Receipt{Samples: int64(got.Samples()), Blocks: got.Blocks, Direct: got.Direct, Bytes: got.Bytes}
	for _, x := range got.Rejected {
		r.reject(Rejection{Reason: string(x.Reason), Count: int64(x.Count), Series: x.Series, Detail: x.Detail})
	}
	return r, nil
}

// Close implements Target.
func (d *DB) Close() error {
	d.im.Close()
	return nil
}
