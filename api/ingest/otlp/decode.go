package otlp

import (
	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

// span is a part of the request: half-open, in decoder.src.
type span struct{ from, to uint32 }

// decoder decodes an ExportMetricsServiceRequest. A data point is decoded once, when
// its samples are queued; labels are only read for samples of unknown series. Its
// slices are reused.
type decoder struct {
	rules *rules
	src   []byte
	json  transcoder

	// The group. The last resource, scope and metric are the current ones, and stay
	// when the group ends.
	resources  []resource
	scopes     []scope
	metrics    []metric
	samples    []sample
	exemplars  []exemplar
	histograms []model.Histogram
	gathered   []byte // attributes of data points whose attributes are not contiguous

	numPoints     uint32 // data points of the request so far
	refusedPoints int    // data points of which a sample was refused
	lastRefused   uint32 // number of the last of them, counted from 1
	histogramsIn  int    // native histograms that the batch took

	budget      spending
	unconfirmed []door.MetadataEntry
	recent      [256]uint64 // sums of metadata entries of the request, by slot

	names  nameCache
	text   textArena // of the request: names, promoted attributes
	labels labelList // of one series
	attrs  []attribute
	bounds []float64 // of one histogram; quantiles of one summary
	values []float64 // of the quantiles
	counts []uint64
	hash   []byte // scratch
}

// sample is a sample of the group: one of those that a data point becomes.
type sample struct {
	t, st     int64 // Unix milliseconds
	v         float64
	label     float64 // the value of le or quantile
	attrs     span    // of the data point
	metric    uint32  // index in metrics
	point     uint32  // number of the data point in the request, counted from 1
	firstEx   uint32  // half-open, in exemplars
	lastEx    uint32
	histogram uint32 // index in histograms + 1; 0 = a float
	part      part
	gathered  bool // attrs lies in gathered
}

// part says which of the series of a data point a sample belongs to.
type part byte

const (
	whole      part = iota // a number or a native histogram
	sumPart                // NAME_sum
	countPart              // NAME_count
	bucketPart             // NAME_bucket{le="…"}
	quantile               // NAME{quantile="…"}
	targetInfo             // of a resource, not of a data point
)

func newDecoder(r *rules) *decoder {
	d := new(decoder)
	d.use(r)
	return d
}

// use sets the rules of the next request.
func (d *decoder) use(r *rules) {
	if d.rules != r {
		d.rules, d.names = r, nameCache{rules: r}
	}
}

// Release implements door.Decoder.
func (d *decoder) Release() {
	d.src, d.budget = nil, spending{}
	clear(d.resources[:cap(d.resources)])
	clear(d.scopes[:cap(d.scopes)])
	clear(d.metrics[:cap(d.metrics)])
	clear(d.histograms[:cap(d.histograms)])
	clear(d.attrs[:cap(d.attrs)])
	d.labels.release()
	d.text.release()
	d.json.release()
	const large = 8 * door.GroupSeries
	if cap(d.samples) > large || cap(d.exemplars) > large || cap(d.gathered) > 64*large {
		d.samples, d.exemplars, d.gathered = nil, nil, nil
	}
	if max(cap(d.bounds), cap(d.counts)) > maxBuckets {
		d.bounds, d.values, d.counts = nil, nil, nil
	}
}

// Confirm implements door.Confirmer: it adds the metadata of the request, which have been
// stored, to the cache.
func (d *decoder) Confirm() {
	for _, m := range d.unconfirmed {
		d.rules.metadata.Set(m)
	}
	d.unconfirmed = d.unconfirmed[:0]
}

// Decode implements door.Decoder.
func (d *decoder) Decode(b *door.Batch) error {
	d.resources, d.scopes, d.metrics = d.resources[:0], d.scopes[:0], d.metrics[:0]
	d.numPoints, d.refusedPoints, d.lastRefused, d.histogramsIn = 0, 0, 0, 0
	d.unconfirmed = d.unconfirmed[:0]
	clear(d.recent[:])
	d.text.reset()
	d.budget.spent = 0
	d.NextGroup()
	src := d.src
	for i := 0; i < len(src); {
		at := i
		tag, n := wire.Uvarint(src, i)
		if n < 0 {
			return door.Malformed("ExportMetricsServiceRequest", at)
		}
		if tag != tagResourceMetrics {
			if i = wire.SkipField(src, n, tag, requestFields); i < 0 {
				return door.Malformed("ExportMetricsServiceRequest", at)
			}
			continue
		}
		start, end := wire.LengthPrefixed(src, n)
		if end < 0 {
			return door.Malformed("ExportMetricsServiceRequest", at)
		}
		if err := d.addResourceMetrics(b, start, end); err != nil {
			return err
		}
		i = end
	}
	return nil
}

// NextGroup implements door.Decoder.
func (d *decoder) NextGroup() {
	d.resources, d.scopes, d.metrics = keepLast(d.resources), keepLast(d.scopes), keepLast(d.metrics)
	if len(d.metrics) > 0 {
		d.metrics[0].resource, d.metrics[0].scope = 0, 0
	}
	clear(d.histograms)
	d.samples, d.exemplars, d.histograms, d.gathered = d.samples[:0], d.exemplars[:0], d.histograms[:0], d.gathered[:0]
}

// keepLast moves the last element to the front and drops the others.
func keepLast[T any](s []T) []T {
	if len(s) < 2 {
		return s
	}
	s[0] = s[len(s)-1]
	return s[:1]
}
