// Package resolution parses the parameter of queries that names the tier to read.
// Both HTTP and gRPC have it.
package resolution

import (
	"fmt"
	"slices"
	"strings"

	"tsdb/query"
)

const (
	auto = "auto"
	raw  = "raw"
)

// Names returns the values that Parse accepts, given the names of the rollups that
// the server makes.
func Names(rollups []string) []string { return append([]string{auto, raw}, rollups...) }

// Parse returns the resolution of a name. "" is auto. The error of another name
// than those of Names lists them.
func Parse(name string, rollups []string) (query.Resolution, error) {
	if name == "" {
		name = auto
	}
	if names := Names(rollups); !slices.Contains(names, name) {
		return query.Resolution{}, fmt.Errorf("unknown resolution %q, want one of %s", name, strings.Join(names, ", "))
	}
	return query.ParseResolution(name)
}
