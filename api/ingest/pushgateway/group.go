package pushgateway

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"tsdb/api/ingest/door"
)

// base64Suffix marks a label whose value is in URL-safe base64.
const base64Suffix = "@base64"

// maxGroupLabels bounds the labels of a group.
const maxGroupLabels = 64

// parseGroup parses the grouping labels of an escaped path behind /metrics/:
// job/VALUE{/LABEL/VALUE}, each LABEL with base64Suffix or without. They are sorted.
func parseGroup(escaped string) ([]door.Label, error) {
	bad := func(form string, args ...any) ([]door.Label, error) {
		return nil, &door.RequestError{Text: "invalid group in the path: " + fmt.Sprintf(form, args...)}
	}
	parts := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	if len(parts) == 1 {
		return bad("job name is required")
	}
	if len(parts)%2 != 0 {
		return bad("want job/VALUE{/LABEL/VALUE}, got %d parts", len(parts))
	}
	if len(parts)/2 > maxGroupLabels {
		return bad("%d labels, limit is %d", len(parts)/2, maxGroupLabels)
	}
	var group []door.Label
	for i := 0; i < len(parts); i += 2 {
		name, err1 := url.PathUnescape(parts[i])
		value, err2 := url.PathUnescape(parts[i+1])
		if err1 != nil || err2 != nil {
			return bad("an escape is malformed")
		}
		if plain, ok := strings.CutSuffix(name, base64Suffix); ok {
			b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
			if err != nil {
				return bad("the value of label %q is no URL-safe base64", door.Clip(plain, 80))
			}
			name, value = plain, string(b)
		}
		switch {
		case !validName(name):
			return bad("improper label name %q", door.Clip(name, 80))
		case slices.ContainsFunc(group, func(l door.Label) bool { return l.Name == name }):
			return bad("label %q is given twice", name)
		case i == 0 && value == "":
			return bad("job name is required")
		}
		group = append(group, door.Label{Name: name, Value: value})
	}
	slices.SortFunc(group, func(a, b door.Label) int { return strings.Compare(a.Name, b.Name) })
	return group, nil
}

// validName reports whether a grouping label may have the name: that of the metric
// and other reserved ones it may not.
func validName(name string) bool {
	if strings.HasPrefix(name, "__") || name == "" {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return true
}

// key returns what identifies a group.
func key(group []door.Label) string {
	var b strings.Builder
	for _, l := range group {
		fmt.Fprintf(&b, "%q=%q,", l.Name, l.Value)
	}
	return b.String()
}
