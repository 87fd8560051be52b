package otlp

import (
	"math"

	"tsdb/api/ingest/door"
	"tsdb/api/ingest/wire"
	"tsdb/internal/model"
)

// resource is a resource and what has been derived from it.
type resource struct {
	message []byte // Resource
	hash    model.Hash

	minNano, maxNano uint64 // times of its data points; minNano > maxNano if there is none

	derived       bool // the following fields are set
	job, instance []byte
	promoted      []label
	fault         *fault // of a promoted attribute
}

// scope is an instrumentation scope.
type scope struct {
	message   []byte // InstrumentationScope
	schemaURL []byte
	hash      model.Hash // with the resource's; of the scope itself only if scopes become labels

	derived bool // the following fields are set
	labels  []label
	fault   *fault
}

// singular decodes a field that a message has at most once. It returns the position
// after it, negative if it is malformed or there for the second time: no encoder splits
// a message in two.
func singular(src []byte, i int, field *[]byte, given *bool) int {
	start, end := wire.LengthPrefixed(src, i)
	if end < 0 || *given {
		return -1
	}
	*field, *given = src[start:end], true
	return end
}

// addResourceMetrics decodes a ResourceMetrics: first the resource, wherever it stands,
// then the scopes.
func (d *decoder) addResourceMetrics(b *door.Batch, start, end int) error {
	src := d.src[:end]
	r := resource{minNano: math.MaxUint64}
	given := false
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch {
		case n < 0:
			i = n
		case tag == tagResource:
			i = singular(src, n, &r.message, &given)
		case tag == tagScopeMetrics, tag == tagResourceSchemaURL:
			_, i = wire.LengthPrefixed(src, n)
		default:
			i = wire.SkipField(src, n, tag, resourceFields)
		}
		if i < 0 {
			return door.Malformed("ResourceMetrics", at)
		}
	}
	r.hash = door.AliasOf(b.Seed, r.message)
	d.resources = append(d.resources, r)
	if err := eachField(src, start, tagScopeMetrics, func(from, to int) error { return d.addScopeMetrics(b, from, to) }); err != nil {
		return err
	}
	return d.addTargetInfo(b, start)
}

// addScopeMetrics decodes a ScopeMetrics: first the scope, then the metrics.
func (d *decoder) addScopeMetrics(b *door.Batch, start, end int) error {
	src := d.src[:end]
	var s scope
	var scopeGiven, urlGiven bool
	for i := start; i < end; {
		at := i
		tag, n := wire.Uvarint(src, i)
		switch {
		case n < 0:
			i = n
		case tag == tagScope:
			i = singular(src, n, &s.message, &scopeGiven)
		case tag == tagScopeSchemaURL:
			i = singular(src, n, &s.schemaURL, &urlGiven)
		case tag == tagMetric:
			_, i = wire.LengthPrefixed(src, n)
		default:
			i = wire.SkipField(src, n, tag, scopeFields)
		}
		if i < 0 {
			return door.Malformed("ScopeMetrics", at)
		}
	}
	s.hash = d.resources[len(d.resources)-1].hash
	if d.rules.PromoteScopeMetadata {
		s.hash = within(within(s.hash, s.message), s.schemaURL)
	}
	d.scopes = append(d.scopes, s)
	return eachField(src, start, tagMetric, func(from, to int) error { return d.addMetric(b, from, to) })
}

// eachField calls f with the bounds of each field with a tag, of a message that begins
// at i and has been checked.
func eachField(src []byte, i int, tag uint64, f func(from, to int) error) error {
	for i < len(src) {
		t, n := wire.Uvarint(src, i)
		if t != tag {
			i = wire.SkipField(src, n, t, 0)
			continue
		}
		var from int
		from, i = wire.LengthPrefixed(src, n)
		if err := f(from, i); err != nil {
			return err
		}
	}
	return nil
}
