package main

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"tsdb/api/ingest/otlp"
)

func TestOTLPSettings(t *testing.T) {
	for text, want := range map[string]otlp.Settings{
		"":        {},
		"otlp:\n": {},
		"otlp:\n  translation_strategy: NoTranslation\n  promote_resource_attributes: [a, b.c]\n  promote_scope_metadata: true\n": {
			TranslationStrategy: "NoTranslation", PromoteResourceAttributes: []string{"a", "b.c"}, PromoteScopeMetadata: true,
		},
		"otlp: {promote_all_resource_attributes: true, ignore_resource_attributes: [x], keep_identifying_resource_attributes: true, convert_histograms_to_nhcb: true}": {
			PromoteAllResourceAttributes: true, IgnoreResourceAttributes: []string{"x"}, KeepIdentifyingResourceAttributes: true, ConvertHistogramsToNHCB: true,
		},
		"otlp: {label_name_underscore_sanitization: false, label_name_preserve_multiple_underscores: false}": {KeepLeadingUnderscore: true, CollapseUnderscores: true},
		"otlp: {label_name_underscore_sanitization: true, label_name_preserve_multiple_underscores: true}":   {},
	} {
		c, err := load(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		want.Lookback = 5 * time.Minute
		if got := c.otlpSettings(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
		if again, err := load(t, c.yaml()); err != nil || !reflect.DeepEqual(again.otlpSettings(), want) {
			t.Errorf("the configuration shown for %q does not read as the same: %v", text, err)
		}
	}
}

func TestOTLPSettingsNameTheLineOfAMistake(t *testing.T) {
	for text, want := range map[string]string{
		"otlp: x":                          `:1: key "otlp" takes some of the keys translation_strategy,`,
		"otlp:\n  translation_strategi: x": `:2: unknown key "translation_strategi"`,
		"otlp:\n  translation_strategy: Underscores":                                      `:2: key "otlp": unknown translation strategy "Underscores", use UnderscoreEscapingWithSuffixes, `,
		"otlp:\n  promote_scope_metadata: perhaps":                                        "line 2: cannot unmarshal !!str `perhaps` into bool",
		"otlp: {promote_all_resource_attributes: true, promote_resource_attributes: [a]}": "promote_all_resource_attributes and promote_resource_attributes exclude each other",
		"otlp: {ignore_resource_attributes: [a]}":                                         "ignore_resource_attributes needs promote_all_resource_attributes",
		"otlp: {promote_resource_attributes: [a, a]}":                                     `promoted resource attribute "a" is given twice`,
		"otlp: {promote_resource_attributes: [' ']}":                                      "empty name of a promoted resource attribute",
		"otlp:\notlp:\n": "is given twice",
	} {
		if _, err := load(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A reload changes the settings of OTLP, and names them.
func TestOTLPSettingsAreReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tsdb.yml")
	read := func(text string) *config {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig([]string{"--config", file}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	next, waiting, changed, err := merge(read("otlp: {promote_scope_metadata: true}\n"), read("otlp: {translation_strategy: NoTranslation}\n"))
	if err != nil || len(waiting) != 0 || strings.Join(changed, ", ") != otlpKey || next.otlpSettings().TranslationStrategy != "NoTranslation" {
		t.Errorf("waiting %q, changed %q, %v", waiting, changed, err)
	}
}
