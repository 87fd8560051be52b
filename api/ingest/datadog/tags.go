package datadog

import (
	"bytes"
	"slices"

	"tsdb/api/ingest/door"
)

// noValue is the value of the label of a tag without one, as in VictoriaMetrics.
var noValue = []byte("no_label_value")

// tags collects the labels of a series: DataDog allows several values of a tag.
type tags struct {
	names door.Names
	pairs []pair
	host  []byte
}

type pair struct{ name, value []byte }

// reset empties the tags and drops the references to the request.
func (s *tags) reset() {
	clear(s.pairs)
	s.pairs, s.host = s.pairs[:0], nil
}

// add adds a label.
func (s *tags) add(name, value []byte) { s.pairs = append(s.pairs, pair{name, value}) }

// addResource adds the name of a resource, under its type.
func (s *tags) addResource(kind, name []byte) {
	if string(kind) == "host" {
		s.host = name
		return
	}
	s.add(kind, name)
}

// addTag adds a tag, name:value or only a name.
func (s *tags) addTag(tag []byte) {
	name, value, ok := bytes.Cut(tag, []byte(":"))
	if !ok {
		value = noValue
	}
	s.add(name, value)
}

// labels adds the labels to a set. Several values of a tag are joined by commas, in order.
// A tag host beside a host of the series becomes exported_host.
func (s *tags) labels(set *door.LabelSet) {
	if len(s.host) > 0 {
		for i, p := range s.pairs {
			if string(p.name) == "host" && !bytes.Equal(p.value, s.host) {
				s.pairs[i].name = []byte("exported_host")
			}
		}
		s.add([]byte("host"), s.host)
	}
	slices.SortFunc(s.pairs, func(a, b pair) int {
		if c := bytes.Compare(a.name, b.name); c != 0 {
			return c
		}
		return bytes.Compare(a.value, b.value)
	})
	for i := 0; i < len(s.pairs); {
		name, value := s.pairs[i].name, s.pairs[i].value
		for i++; i < len(s.pairs) && bytes.Equal(s.pairs[i].name, name); i++ {
			if !bytes.Equal(s.pairs[i].value, s.pairs[i-1].value) {
				value = slices.Concat(value, []byte(","), s.pairs[i].value)
			}
		}
		set.Add(s.names.Label(name), value)
	}
}
