package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// answer is the result of a query, its series in order of their labels. Those of an
// instant query have one point.
type answer []answered

type answered struct {
	labels string
	points []point
}

type point struct {
	t float64 // Unix seconds
	v float64
}

// parseAnswer parses a response of /api/v1/query_range or /api/v1/query.
func parseAnswer(body []byte) (answer, error) {
	var message struct {
		Status string
		Data   struct {
			ResultType string
			Result     []struct {
				Metric map[string]string
				Values [][2]any // number and string
				Value  *[2]any  // of an instant query
			}
		}
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, err
	}
	if kind := message.Data.ResultType; message.Status != "success" || kind != "matrix" && kind != "vector" {
		return nil, fmt.Errorf("response with status %q and result type %q, want success and matrix or vector", message.Status, kind)
	}
	all := answer{}
	for _, series := range message.Data.Result {
		var labels []string
		for name, value := range series.Metric {
			labels = append(labels, fmt.Sprintf("%s=%q", name, value))
		}
		slices.Sort(labels)
		if series.Value != nil {
			series.Values = append(series.Values, *series.Value)
		}
		one := answered{labels: strings.Join(labels, ","), points: make([]point, len(series.Values))}
		for i, pair := range series.Values {
			t, isNumber := pair[0].(float64)
			text, isString := pair[1].(string)
			v, err := strconv.ParseFloat(text, 64)
			if !isNumber || !isString || err != nil {
				return nil, fmt.Errorf("point %v is not a number and a string", pair)
			}
			one.points[i] = point{t, v}
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b answered) int { return strings.Compare(a.labels, b.labels) })
	return all, nil
}

// differs returns an error that names the first difference between a and b: in
// series, in times, or in values that differ by more than tolerance, relative to
// the greater one. It returns nil if they are equal.
func (a answer) differs(b answer, tolerance float64) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d series and %d", len(a), len(b))
	}
	for i := range a {
		if a[i].labels != b[i].labels {
			return fmt.Errorf("series {%s} and {%s}", a[i].labels, b[i].labels)
		}
		if err := differ(a[i].points, b[i].points, tolerance); err != nil {
			return fmt.Errorf("{%s}: %w", a[i].labels, err)
		}
	}
	return nil
}

func differ(a, b []point, tolerance float64) error {
	if len(a) != len(b) {
		return fmt.Errorf("%d points and %d", len(a), len(b))
	}
	for i := range a {
		apart := math.Abs(a[i].v - b[i].v)
		switch {
		case a[i].t != b[i].t:
			return fmt.Errorf("points at %v and at %v", a[i].t, b[i].t)
		case a[i].v == b[i].v || math.IsNaN(a[i].v) && math.IsNaN(b[i].v):
		case !math.IsInf(apart, 0) && apart <= tolerance*max(math.Abs(a[i].v), math.Abs(b[i].v)):
		default:
			return fmt.Errorf("%v and %v at %v", a[i].v, b[i].v, a[i].t)
		}
	}
	return nil
}
