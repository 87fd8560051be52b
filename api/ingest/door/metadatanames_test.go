package door

import (
	"strings"
	"testing"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"
)

// Metadata follow the names of their metric's series where the rules look at nothing but
// the name, and stay under the one that was sent elsewhere.
func TestMetadataFollowNewNames(t *testing.T) {
	for _, c := range []struct {
		rules string
		want  map[string]string // "name type" → names
	}{
		{"[{regex: x, action: labeldrop}]", nil},
		{"[{target_label: site, replacement: home}]", map[string]string{"a gauge": "a"}},
		{"[{source_labels: [env], target_label: site}]", nil},
		{"[{source_labels: [env, __name__], target_label: __name__}]", nil},
		{"[{source_labels: [env], regex: dev, action: drop}]", nil},
		{"[{source_labels: [__name__], regex: 'old_(.*)', target_label: __name__, replacement: 'new_$1'}]", map[string]string{
			"old_a gauge": "new_a", "a gauge": "a", "old_a_total counter": "new_a_total", "old_h histogram": "new_h", "old_s summary": "new_s", "old_i info": "new_i", "old_g gaugehistogram": "new_g",
		}},
		{"[{source_labels: [__name__], regex: 'h_(bucket|sum|count)', target_label: __name__, replacement: 'g_$1'}]", map[string]string{"h histogram": "h g", "h gauge": "h"}},
		{"[{source_labels: [__name__], regex: 'a_total', target_label: __name__, replacement: b}]", map[string]string{"a_total counter": "b", "a counter": "a b"}},
		{"[{source_labels: [__name__], regex: 'go_.*', action: drop}]", map[string]string{"go_a gauge": "", "go_h histogram": "", "a gauge": "a"}},
		{"[{source_labels: [__name__], regex: 'x_.*_bucket', action: drop}]", map[string]string{"x_h histogram": "x_h"}},
		{"[{source_labels: [__name__], action: uppercase, target_label: __name__}]", map[string]string{"a gauge": "A"}},
		// By way of another label that follows from the name.
		{"[{source_labels: [__name__], target_label: tmp, replacement: 'p_$1'}, {source_labels: [tmp], target_label: __name__}]", map[string]string{"a gauge": "p_a"}},
		{"[{source_labels: [env], target_label: tmp}, {source_labels: [tmp], target_label: __name__}]", nil},
	} {
		var rules []*relabel.Config
		if err := yaml.Unmarshal([]byte(c.rules), &rules); err != nil {
			t.Fatal(err)
		}
		for _, r := range rules {
			if err := r.Validate(prommodel.UTF8Validation); err != nil {
				t.Fatal(err)
			}
		}
		n := newMetadataNames(rules)
		if (n == nil) != (c.want == nil) {
			t.Errorf("%s: followed %v, want %v", c.rules, n != nil, c.want != nil)
			continue
		}
		for sent, want := range c.want {
			name, kind, _ := strings.Cut(sent, " ")
			for range 2 { // computed, then from the cache
				if got := strings.Join(n.of(name, kind), " "); got != want {
					t.Errorf("%s: metadata of %s are under %q, want %q", c.rules, sent, got, want)
				}
			}
		}
	}
	n := &metadataNames{}
	for i := range 2 * maxMetadataNames {
		n.of(strings.Repeat("x", 1+i%7)+string(rune('a'+i%26))+prommodel.Duration(i).String(), "gauge")
	}
	if len(n.cache) > maxMetadataNames {
		t.Errorf("%d names are remembered", len(n.cache))
	}
}
