package door

import (
	"slices"
	"strings"
	"sync"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/relabel"
)

// metadataNames reports under which names the metadata of a metric are stored when rules
// rename its series. Metadata belong to a name and rules apply to a series, so it is
// known only for rules that look at nothing but the name: if another label has a part in
// a new name, metadata stay under the one that was sent. It is safe for concurrent use.
type metadataNames struct {
	rules []*relabel.Config // those that can be followed

	mu    sync.Mutex
	cache map[metadataName][]string
}

type metadataName struct{ name, kind string }

// maxMetadataNames bounds the cache of a metadataNames.
const maxMetadataNames = 1 << 14

// newMetadataNames returns nil if metadata stay under the names that are sent.
func newMetadataNames(rules []*relabel.Config) *metadataNames {
	n := &metadataNames{}
	known := map[string]bool{prommodel.MetricNameLabel: true} // labels that follow from the name
	for _, r := range rules {
		follows := true
		for _, l := range r.SourceLabels {
			follows = follows && known[string(l)]
		}
		switch r.Action {
		case relabel.Keep, relabel.Drop:
			if follows && len(r.SourceLabels) > 0 {
				n.rules = append(n.rules, r)
			}
		case relabel.Replace, relabel.Lowercase, relabel.Uppercase, relabel.HashMod:
			switch {
			case follows:
				n.rules = append(n.rules, r)
			case r.TargetLabel == prommodel.MetricNameLabel:
				return nil
			}
			known[r.TargetLabel] = follows
		}
	}
	if len(n.rules) == 0 {
		return nil
	}
	return n
}

// of returns the names for the metadata of a metric of a type, none if all of its series
// are dropped.
func (n *metadataNames) of(name, kind string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := metadataName{name, kind}
	all, ok := n.cache[key]
	if !ok {
		all = n.follow(name, kind)
		if len(n.cache) >= maxMetadataNames || n.cache == nil {
			n.cache = make(map[metadataName][]string)
		}
		n.cache[key] = all
	}
	return all
}

// seriesSuffixes are what the names of series have after that of their metric, by type.
var seriesSuffixes = map[string][]string{
	"counter": {"", "_total"}, "info": {"", "_info"}, "summary": {"", "_sum", "_count"},
	"histogram": {"", "_bucket", "_sum", "_count"}, "gaugehistogram": {"", "_bucket", "_gsum", "_gcount"},
}

// follow applies the rules to the names that series of the metric may have.
func (n *metadataNames) follow(name, kind string) []string {
	suffixes := seriesSuffixes[kind]
	if suffixes == nil {
		suffixes = []string{""}
	}
	var all []string
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, suffix := range suffixes {
		if suffix != "" && strings.HasSuffix(name, suffix) {
			continue // as counters of the text format
		}
		b.Reset(labels.FromStrings(prommodel.MetricNameLabel, name+suffix))
		if !relabel.ProcessBuilder(b, n.rules...) {
			continue
		}
		renamed := strings.TrimSuffix(b.Get(prommodel.MetricNameLabel), suffix)
		if renamed != "" && !slices.Contains(all, renamed) {
			all = append(all, renamed)
		}
	}
	return all
}
