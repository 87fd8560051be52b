package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"

	"tsdb/api/ingest"
	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Keys of the configuration file that are no flags: relabelling at every door, and the
// rules of single doors.
const (
	relabelKey = "relabel_configs"
	doorsKey   = "doors"
)

// doorRules are the rules of the configuration file for doors.
type doorRules struct {
	relabel []*relabel.Config
	doors   map[string]door.DoorRules
	yaml    string // in the form of a configuration file, "" if there are none
}

// doorSettings returns the rules for the doors.
func (c *config) doorSettings() door.Rules {
	return door.Rules{
		Relabel: c.doors.relabel, Doors: c.doors.doors,
		Series: storage.SeriesLimits{Active: int64(c.limitSeries), NewPerHour: int64(c.limitNewSeries)},
	}
}

// parseRelabel sets the relabelling of every door.
func (c *config) parseRelabel(value *yaml.Node) (err error) {
	c.doors.yaml += keyYAML(relabelKey, value)
	c.doors.relabel, err = c.relabelConfigs(value)
	return err
}

// relabelConfigs returns a list of rules in Prometheus' form. Errors name the line; all
// are reported at once.
func (c *config) relabelConfigs(value *yaml.Node) ([]*relabel.Config, error) {
	if isNull(value) {
		return nil, nil
	}
	if value.Kind != yaml.SequenceNode {
		return nil, c.at(value, "key %q takes a list of rules such as - {source_labels: [env], regex: dev, action: drop}", relabelKey)
	}
	var all []*relabel.Config
	var errs []error
	for _, n := range value.Content {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		r := new(relabel.Config)
		err := c.checkKeys(n, "a relabelling rule", "source_labels", "separator", "target_label", "regex", "modulus", "replacement", "action")
		if err == nil {
			if err = n.Decode(r); err == nil {
				err = r.Validate(model.UTF8Validation)
			}
			if err != nil {
				err = c.at(n, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
			}
		}
		errs = append(errs, err)
		all = append(all, r)
	}
	return all, errors.Join(errs...)
}

// parseDoors sets the rules of single doors.
func (c *config) parseDoors(value *yaml.Node) error {
	c.doors.yaml += keyYAML(doorsKey, value)
	if isNull(value) {
		return nil
	}
	names := ingest.Doors()
	slices.Sort(names)
	if err := c.checkKeys(value, fmt.Sprintf("key %q", doorsKey), names...); err != nil {
		return err
	}
	c.doors.doors = map[string]door.DoorRules{}
	var errs []error
	for i := 0; i+1 < len(value.Content); i += 2 {
		rules, err := c.parseDoor(value.Content[i+1])
		errs = append(errs, err)
		c.doors.doors[value.Content[i].Value] = rules
	}
	return errors.Join(errs...)
}

// parseDoor returns the rules of a door.
func (c *config) parseDoor(value *yaml.Node) (rules door.DoorRules, err error) {
	if isNull(value) {
		return rules, nil
	}
	var series, newSeries countOrNone
	var labels count
	var name, text size
	settings := []struct {
		key   string
		value flag.Value
	}{{"limit.series", &series}, {"limit.new-series", &newSeries}, {"limit.labels", &labels}, {"limit.label-name", &name}, {"limit.label-value", &text}}
	keys := []string{relabelKey}
	for _, s := range settings {
		keys = append(keys, s.key)
	}
	if err := c.checkKeys(value, "a door", keys...); err != nil {
		return rules, err
	}
	var errs []error
	for i := 0; i+1 < len(value.Content); i += 2 {
		key, v := value.Content[i].Value, value.Content[i+1]
		if key == relabelKey {
			rules.Relabel, err = c.relabelConfigs(v)
			errs = append(errs, err)
			continue
		}
		for _, s := range settings {
			if s.key != key {
				continue
			}
			if v.Kind != yaml.ScalarNode {
				errs = append(errs, c.at(v, "key %q takes a single value", key))
			} else if err := s.value.Set(v.Value); err != nil {
				errs = append(errs, c.at(v, "key %q: %v", key, err))
			}
		}
	}
	rules.Series, rules.NewPerHour = int64(series), int64(newSeries)
	rules.Limits = door.Limits{Labels: int(labels), NameBytes: int(name), ValueBytes: int(text)}
	return rules, errors.Join(errs...)
}

// checkKeys returns an error unless a node is a mapping of some of the keys, each once.
func (c *config) checkKeys(n *yaml.Node, what string, keys ...string) error {
	if n.Kind != yaml.MappingNode {
		return c.at(n, "%s takes some of the keys %s", what, strings.Join(keys, ", "))
	}
	var errs []error
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case !slices.Contains(keys, key.Value):
			errs = append(errs, c.at(key, "unknown key %q: %s takes %s", key.Value, what, strings.Join(keys, ", ")))
		case seen[key.Value]:
			errs = append(errs, c.at(key, "key %q is given twice", key.Value))
		}
		seen[key.Value] = true
	}
	return errors.Join(errs...)
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// keyYAML returns a key with its value in the form of a configuration file.
func keyYAML(key string, value *yaml.Node) string {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(map[string]*yaml.Node{key: value}); err != nil {
		return fmt.Sprintf("# %s: %v\n", key, err)
	}
	return b.String()
}
