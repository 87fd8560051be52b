package otlp

import (
	"bytes"
	"slices"
	"strconv"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// fault is the reason why series are refused.
type fault struct {
	reason storage.Reason
	text   string
}

func (f *fault) refuse(set *door.LabelSet) *storage.Reject {
	return set.Refuse(f.reason, "%s", f.text)
}

type label struct{ name, value []byte }

// labelList collects the labels of a series. Names are unique.
type labelList struct{ list []label }

func (l *labelList) reset()   { l.list = l.list[:0] }
func (l *labelList) release() { clear(l.list[:cap(l.list)]) }

// get returns the value of a label, empty if there is none.
func (l *labelList) get(name []byte) []byte {
	for i := range l.list {
		if bytes.Equal(l.list[i].name, name) {
			return l.list[i].value
		}
	}
	return nil
}

// set sets a label. An empty value removes it.
func (l *labelList) set(name, value []byte) {
	for i := range l.list {
		if bytes.Equal(l.list[i].name, name) {
			l.list[i].value = value
			return
		}
	}
	l.list = append(l.list, label{name, value})
}

// Names of labels and attributes.
var (
	jobLabel        = []byte("job")
	instanceLabel   = []byte("instance")
	leLabel         = []byte("le")
	quantileLabel   = []byte("quantile")
	scopeNameLabel  = []byte("otel_scope_name")
	scopeVersion    = []byte("otel_scope_version")
	scopeSchemaURL  = []byte("otel_scope_schema_url")
	serviceName     = []byte("service.name")
	serviceSpace    = []byte("service.namespace")
	serviceInstance = []byte("service.instance.id")
)

const scopePrefix = "otel_scope_"

// Labels implements door.Decoder.
func (d *decoder) Labels(k int, set *door.LabelSet) (samples int, err error) {
	s := &d.samples[k]
	if s.part == targetInfo {
		return d.targetLabels(s, set)
	}
	return d.seriesLabels(s, set)
}

// seriesLabels adds the labels of the series of a sample to a set. The order in which
// labels replace each other is that of Prometheus.
func (d *decoder) seriesLabels(s *sample, set *door.LabelSet) (samples int, err error) {
	samples = 1 + int(s.lastEx-s.firstEx)
	m := &d.metrics[s.metric]
	r := &d.resources[m.resource]
	sc := &d.scopes[m.scope]
	d.text.resetSeries()
	if err := d.derive(m, r, sc, set); err != nil {
		return 0, err
	}
	for _, f := range [...]*fault{m.fault, r.fault, sc.fault} {
		if f != nil {
			set.Add(door.MetricName, m.name)
			return samples, f.refuse(set)
		}
	}
	d.labels.reset()
	attrs := d.attrsOf(s.attrs, s.gathered)
	if len(attrs) > 0 {
		bad, err := d.addAttributes(set, attrs, uint64(attrs[0]), false)
		if err != nil {
			return 0, err
		}
		if bad != nil {
			set.Add(door.MetricName, m.family)
			return samples, bad
		}
	}
	for _, l := range r.promoted {
		if len(d.labels.get(l.name)) == 0 {
			d.labels.set(l.name, l.value)
		}
	}
	d.addIdentity(r)
	for _, l := range sc.labels {
		d.labels.set(l.name, l.value)
	}
	suffix := ""
	switch s.part {
	case sumPart:
		suffix = "_sum"
	case countPart:
		suffix = "_count"
	case bucketPart:
		suffix = "_bucket"
		d.labels.set(leLabel, d.number(s.label))
	case quantile:
		d.labels.set(quantileLabel, d.number(s.label))
	}
	name := m.family
	if suffix != "" {
		name = d.text.series(func(dst []byte) []byte { return append(append(dst, m.family...), suffix...) })
	}
	d.labels.set(door.MetricName, name)
	for _, l := range d.labels.list {
		set.Add(l.name, l.value)
	}
	return samples, nil
}

// number formats the value of le or quantile.
func (d *decoder) number(v float64) []byte {
	return d.text.series(func(dst []byte) []byte { return strconv.AppendFloat(dst, v, 'f', -1, 64) })
}

// addIdentity sets job and instance.
func (d *decoder) addIdentity(r *resource) {
	if len(r.job) > 0 {
		d.labels.set(jobLabel, r.job)
	}
	if len(r.instance) > 0 {
		d.labels.set(instanceLabel, r.instance)
	}
}

// addAttributes sets the labels of attributes, in the order of their keys, so that the
// values of keys that become one name are joined in that order. isTarget says that they
// are those of a resource and become labels of target_info.
func (d *decoder) addAttributes(set *door.LabelSet, m []byte, tag uint64, isTarget bool) (*storage.Reject, error) {
	limit, n := set.MaxLabels(), 0
	d.attrs = d.attrs[:0]
	ok := eachAttribute(m, tag, func(a attribute) {
		if n++; n <= limit {
			d.attrs = append(d.attrs, a)
		}
	})
	if !ok {
		return nil, errAttribute
	}
	if n > limit {
		return set.TooMany(n), nil
	}
	slices.SortStableFunc(d.attrs, func(a, b attribute) int { return bytes.Compare(a.key, b.key) })
	for i := range d.attrs {
		a := &d.attrs[i]
		switch {
		case i > 0 && bytes.Equal(a.key, d.attrs[i-1].key):
			return set.Refuse(storage.ReasonDuplicateLabel, "attribute %q is given twice", excerpt(a.key)), nil
		case bytes.Equal(a.key, door.MetricName), isTarget && !d.rules.KeepIdentifyingResourceAttributes && identifies(a.key):
			continue
		}
		if bad := d.text.resolve(set, a); bad != nil {
			return bad, nil
		}
		if d.rules.utf8 {
			d.labels.set(a.key, a.text)
			continue
		}
		name, f := d.names.label(a.key)
		if f != nil {
			return f.refuse(set), nil
		}
		value := a.text
		if old := d.labels.get(name); len(old) > 0 {
			value = d.text.series(func(dst []byte) []byte { return append(append(append(dst, old...), ';'), value...) })
		}
		d.labels.set(name, value)
	}
	return nil, nil
}

// errAttribute is returned for an attribute that cannot be decoded.
var errAttribute = &door.RequestError{Text: "decode KeyValue: malformed protobuf"}

// eachAttribute calls f for the attributes of a message, whose field has a tag; other
// fields are skipped. It returns false if an attribute is malformed.
func eachAttribute(m []byte, tag uint64, f func(attribute)) bool {
	for i := 0; i < len(m); {
		t, n := wire.Uvarint(m, i)
		if n < 0 {
			return false
		}
		if t != tag {
			if i = wire.SkipField(m, n, t, 1<<(tag>>3)); i < 0 {
				return false
			}
			continue
		}
		start, end := wire.LengthPrefixed(m, n)
		if end < 0 {
			return false
		}
		a, ok := parseAttribute(m[start:end])
		if !ok {
			return false
		}
		f(a)
		i = end
	}
	return true
}

func identifies(key []byte) bool {
	return bytes.Equal(key, serviceName) || bytes.Equal(key, serviceSpace) || bytes.Equal(key, serviceInstance)
}
