package main

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"tsdb/api/ingest/otlp"
)

// otlpKey is the key of the configuration file under which the settings of OTLP stand, as
// in Prometheus' own.
const otlpKey = "otlp"

// otlpSection is the section of the configuration file for OTLP.
type otlpSection struct {
	settings otlp.Settings
	yaml     string // in the form of a configuration file, "" if there is none
}

// otlpSettings returns the settings of OTLP.
func (c *config) otlpSettings() otlp.Settings {
	s := c.otlp.settings
	s.Lookback = time.Duration(c.queryLookback)
	return s
}

// parseOTLP sets the settings of OTLP.
func (c *config) parseOTLP(value *yaml.Node) error {
	c.otlp.yaml = keyYAML(otlpKey, value)
	if isNull(value) {
		return nil
	}
	err := c.checkKeys(value, `key "`+otlpKey+`"`, "translation_strategy", "promote_resource_attributes", "promote_all_resource_attributes",
		"ignore_resource_attributes", "keep_identifying_resource_attributes", "convert_histograms_to_nhcb", "promote_scope_metadata",
		"label_name_underscore_sanitization", "label_name_preserve_multiple_underscores")
	if err != nil {
		return err
	}
	section := struct {
		Strategy      string   `yaml:"translation_strategy"`
		Promote       []string `yaml:"promote_resource_attributes"`
		PromoteAll    bool     `yaml:"promote_all_resource_attributes"`
		Ignore        []string `yaml:"ignore_resource_attributes"`
		Keep          bool     `yaml:"keep_identifying_resource_attributes"`
		CustomBuckets bool     `yaml:"convert_histograms_to_nhcb"`
		Scope         bool     `yaml:"promote_scope_metadata"`
		Sanitize      bool     `yaml:"label_name_underscore_sanitization"`
		Preserve      bool     `yaml:"label_name_preserve_multiple_underscores"`
	}{Sanitize: true, Preserve: true}
	if err := value.Decode(&section); err != nil {
		return c.at(value, "key %q: %s", otlpKey, strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:")), " "))
	}
	c.otlp.settings = otlp.Settings{
		TranslationStrategy: section.Strategy, PromoteResourceAttributes: section.Promote, PromoteAllResourceAttributes: section.PromoteAll,
		IgnoreResourceAttributes: section.Ignore, KeepIdentifyingResourceAttributes: section.Keep, ConvertHistogramsToNHCB: section.CustomBuckets,
		PromoteScopeMetadata: section.Scope, KeepLeadingUnderscore: !section.Sanitize, CollapseUnderscores: !section.Preserve,
	}
	if err := c.otlp.settings.Validate(); err != nil {
		return c.at(value, "key %q: %s", otlpKey, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}
