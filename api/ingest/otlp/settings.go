package otlp

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/otlptranslator"

	"tsdb/api/ingest/door"
)

// Settings determine which series the data points become. They have the names and the
// meaning of the otlp section of Prometheus' configuration file.
type Settings struct {
	// TranslationStrategy says how names are translated; empty =
	// UnderscoreEscapingWithSuffixes.
	TranslationStrategy string

	// PromoteResourceAttributes are the resource attributes that become labels of
	// every series; PromoteAllResourceAttributes makes it all but
	// IgnoreResourceAttributes.
	PromoteResourceAttributes    []string
	PromoteAllResourceAttributes bool
	IgnoreResourceAttributes     []string

	// KeepIdentifyingResourceAttributes keeps service.name, service.namespace and
	// service.instance.id as labels of target_info, besides job and instance.
	KeepIdentifyingResourceAttributes bool

	// ConvertHistogramsToNHCB makes histograms with explicit buckets native ones with
	// custom buckets, instead of a series for each bucket.
	ConvertHistogramsToNHCB bool

	// PromoteScopeMetadata makes name, version, schema URL and attributes of the scope
	// labels otel_scope_….
	PromoteScopeMetadata bool

	// KeepLeadingUnderscore leaves label names that begin with one underscore as they
	// are, instead of putting "key" before it; CollapseUnderscores makes several
	// underscores one. They are the opposites of Prometheus'
	// label_name_underscore_sanitization and
	// label_name_preserve_multiple_underscores, so that the zero value is the default.
	// Neither has an effect without escaping.
	KeepLeadingUnderscore bool
	CollapseUnderscores   bool

	// Lookback is the lookback delta of queries: target_info has a sample every half
	// of it. 0 = 5 minutes.
	Lookback time.Duration
}

// Strategies are the valid translation strategies; the first is the default.
var Strategies = []string{
	string(otlptranslator.UnderscoreEscapingWithSuffixes), string(otlptranslator.UnderscoreEscapingWithoutSuffixes),
	string(otlptranslator.NoUTF8EscapingWithSuffixes), string(otlptranslator.NoTranslation),
}

// Validate reports all invalid settings at once.
func (s *Settings) Validate() error {
	var errs []error
	if s.TranslationStrategy != "" && !slices.Contains(Strategies, s.TranslationStrategy) {
		errs = append(errs, fmt.Errorf("unknown translation strategy %q, use %s", s.TranslationStrategy, strings.Join(Strategies, ", ")))
	}
	if s.PromoteAllResourceAttributes && len(s.PromoteResourceAttributes) > 0 {
		errs = append(errs, errors.New("promote_all_resource_attributes and promote_resource_attributes exclude each other"))
	}
	if !s.PromoteAllResourceAttributes && len(s.IgnoreResourceAttributes) > 0 {
		errs = append(errs, errors.New("ignore_resource_attributes needs promote_all_resource_attributes"))
	}
	errs = append(errs, checkAttributes("promoted", s.PromoteResourceAttributes), checkAttributes("ignored", s.IgnoreResourceAttributes))
	return errors.Join(errs...)
}

func checkAttributes(what string, names []string) error {
	seen := map[string]bool{}
	var errs []error
	for _, n := range names {
		switch {
		case strings.TrimSpace(n) == "":
			errs = append(errs, fmt.Errorf("empty name of a %s resource attribute", what))
		case seen[n]:
			errs = append(errs, fmt.Errorf("%s resource attribute %q is given twice", what, n))
		}
		seen[n] = true
	}
	return errors.Join(errs...)
}

// rules are settings in the form the decoders use. They are safe for concurrent use.
type rules struct {
	Settings
	name       string // of the settings: equal ones have equal names
	utf8       bool   // names are not escaped
	metric     otlptranslator.MetricNamer
	label      otlptranslator.LabelNamer
	unit       otlptranslator.UnitNamer
	listed     map[string]bool // resource attributes promoted or ignored
	intervalMs int64           // between samples of target_info
	metadata   door.MetadataCache
}

func newRules(s Settings) *rules {
	strategy := otlptranslator.TranslationStrategyOption(s.TranslationStrategy)
	if strategy == "" {
		strategy = otlptranslator.UnderscoreEscapingWithSuffixes
	}
	if s.Lookback <= 0 {
		s.Lookback = 5 * time.Minute
	}
	r := &rules{
		Settings: s, name: fmt.Sprintf("%#v", s), utf8: !strategy.ShouldEscape(), metric: otlptranslator.NewMetricNamer("", strategy),
		listed: map[string]bool{}, intervalMs: max(s.Lookback.Milliseconds()/2, 1),
	}
	r.label = otlptranslator.LabelNamer{
		UTF8Allowed: r.utf8, UnderscoreLabelSanitization: !s.KeepLeadingUnderscore, PreserveMultipleUnderscores: !s.CollapseUnderscores,
	}
	names := s.PromoteResourceAttributes
	if s.PromoteAllResourceAttributes {
		names = s.IgnoreResourceAttributes
	}
	for _, n := range names {
		r.listed[n] = true
	}
	return r
}

// promotes reports whether any resource attribute can become a label.
func (r *rules) promotes() bool { return r.PromoteAllResourceAttributes || len(r.listed) > 0 }

// promoted reports whether a resource attribute becomes a label of every series.
func (r *rules) promoted(key []byte) bool {
	return r.listed[string(key)] != r.PromoteAllResourceAttributes
}
