package otlp

import (
	"bytes"
	"unicode/utf8"

	"github.com/prometheus/otlptranslator"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/storage"
)

// derive computes what the series of a metric have in common: the translated name, and
// the labels that come from resource and scope. It is done once for each of the three.
func (d *decoder) derive(m *metric, r *resource, s *scope, set *door.LabelSet) error {
	if !m.derived {
		m.derived = true
		m.family, m.fault = d.metricName(m)
	}
	if !r.derived {
		r.derived = true
		if err := d.deriveResource(r, set); err != nil {
			return err
		}
	}
	if !s.derived {
		s.derived = true
		if d.rules.PromoteScopeMetadata {
			return d.deriveScope(s, set)
		}
	}
	return nil
}

// metricName returns the translated name of a metric.
func (d *decoder) metricName(m *metric) ([]byte, *fault) {
	if !utf8.Valid(m.name) || !utf8.Valid(m.unit) {
		return nil, &fault{storage.ReasonInvalidUTF8, "name or unit of metric " + excerpt(m.name) + " is not UTF-8"}
	}
	name, err := d.rules.metric.Build(otlptranslator.Metric{Name: string(m.name), Unit: string(m.unit), Type: m.kind.translatorType()})
	if err != nil {
		reason := storage.ReasonBadLabel
		if len(m.name) == 0 {
			reason = storage.ReasonNoName
		}
		return nil, &fault{reason, err.Error()}
	}
	return []byte(name), nil
}

// deriveResource sets job, instance and the promoted attributes of a resource.
func (d *decoder) deriveResource(r *resource, set *door.LabelSet) error {
	var name, space, instance *attribute
	var promoted []attribute
	limit := set.MaxLabels()
	ok := eachAttribute(r.message, tagResourceAttribute, func(a attribute) {
		switch { // of several the first counts, as for Prometheus
		case name == nil && bytes.Equal(a.key, serviceName):
			name = &a
		case space == nil && bytes.Equal(a.key, serviceSpace):
			space = &a
		case instance == nil && bytes.Equal(a.key, serviceInstance):
			instance = &a
		}
		if d.rules.promotes() && len(promoted) <= limit && d.rules.promoted(a.key) {
			promoted = append(promoted, a)
		}
	})
	if !ok {
		return errAttribute
	}
	text := func(a *attribute) []byte {
		if bad := d.text.resolve(set, a); bad != nil && r.fault == nil {
			r.fault = &fault{bad.Reason, bad.Detail}
		}
		return d.text.keep(a.text)
	}
	if name != nil {
		r.job = text(name)
		if space != nil {
			r.job = d.text.keep(append(append(append([]byte(nil), text(space)...), '/'), r.job...))
		}
	}
	if instance != nil {
		r.instance = text(instance)
	}
	if len(promoted) > limit {
		r.fault = &fault{storage.ReasonLimit, "more resource attributes are promoted to labels than a series may have (--limit.labels)"}
		return nil
	}
	var list labelList
	for i := range promoted {
		label, f := d.names.label(promoted[i].key)
		if f != nil {
			r.fault = f
			return nil
		}
		list.set(label, text(&promoted[i]))
	}
	r.promoted = list.list
	return nil
}

// deriveScope sets the labels of a scope. A scope without a name has none.
func (d *decoder) deriveScope(s *scope, set *door.LabelSet) error {
	var name, version []byte
	for i := 0; i < len(s.message); {
		tag, n := wire.Uvarint(s.message, i)
		var start int
		switch {
		case n < 0:
			i = n
		case tag == tagScopeName:
			start, i = wire.LengthPrefixed(s.message, n)
			name = s.message[start:max(start, i)]
		case tag == tagScopeVersion:
			start, i = wire.LengthPrefixed(s.message, n)
			version = s.message[start:max(start, i)]
		default:
			i = wire.SkipField(s.message, n, tag, 1<<1|1<<2)
		}
		if i < 0 {
			return &door.RequestError{Text: "decode InstrumentationScope: malformed protobuf"}
		}
	}
	if len(name) == 0 {
		return nil
	}
	var list labelList
	n, limit := 0, set.MaxLabels()
	ok := eachAttribute(s.message, tagScopeAttribute, func(a attribute) {
		if n++; n > limit || s.fault != nil {
			return
		}
		label, f := d.names.label(append([]byte(scopePrefix), a.key...))
		if f != nil {
			s.fault = f
			return
		}
		if bad := d.text.resolve(set, &a); bad != nil {
			s.fault = &fault{bad.Reason, bad.Detail}
		}
		list.set(label, d.text.keep(a.text))
	})
	if !ok {
		return errAttribute
	}
	if n > limit {
		s.fault = &fault{storage.ReasonLimit, "the scope has more attributes than a series may have labels (--limit.labels)"}
	}
	list.set(scopeNameLabel, name)
	list.set(scopeVersion, version)
	list.set(scopeSchemaURL, s.schemaURL)
	s.labels = list.list
	return nil
}

// nameCache remembers the translated names of labels.
type nameCache struct {
	rules *rules
	names map[string][]byte
}

// maxCachedNames bounds a name cache, and maxCachedName the length of a name in it.
const (
	maxCachedNames = 4096
	maxCachedName  = 256
)

// label returns the translated name of a label.
func (c *nameCache) label(key []byte) ([]byte, *fault) {
	if name, ok := c.names[string(key)]; ok {
		return name, nil
	}
	if !utf8.Valid(key) {
		return nil, &fault{storage.ReasonInvalidUTF8, "attribute " + excerpt(key) + " is not UTF-8"}
	}
	text, err := c.rules.label.Build(string(key))
	if err != nil {
		return nil, &fault{storage.ReasonBadLabel, err.Error()}
	}
	name := []byte(text)
	if len(key) > maxCachedName {
		return name, nil
	}
	if len(c.names) >= maxCachedNames || c.names == nil {
		c.names = make(map[string][]byte)
	}
	c.names[string(key)] = name
	return name, nil
}
