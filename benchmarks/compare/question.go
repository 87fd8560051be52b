package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// question is one query of the list, to be asked over a range that ends with
// its data set.
type question struct {
	name  string
	set   string
	span  time.Duration // of the range
	step  time.Duration
	query string // PromQL

	instant    bool   // asked at the end of the range, not over it
	resolution string // that tsdb is asked for; "" = its default
}

// readQuestions reads the list of queries. A line consists of a name, a data set,
// a range, a step and PromQL; empty lines and lines that start with # are skipped.
// Names are unique.
func readQuestions(r io.Reader) ([]question, error) {
	var all []question
	names := map[string]bool{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		q, err := parseQuestion(line)
		if err == nil && names[q.name] {
			err = fmt.Errorf("query name %q is used twice", q.name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		names[q.name] = true
		all = append(all, q)
	}
	return all, lines.Err()
}

func parseQuestion(line string) (q question, err error) {
	var fields [4]string
	rest := line
	for i := range fields {
		at := strings.IndexAny(rest, " \t")
		if at < 0 {
			return q, fmt.Errorf("%q is not of the form NAME SET RANGE STEP QUERY", line)
		}
		fields[i], rest = rest[:at], strings.TrimLeft(rest[at:], " \t")
	}
	q = question{name: fields[0], set: fields[1], query: rest}
	if q.span, err = time.ParseDuration(fields[2]); err != nil {
		return q, fmt.Errorf("range: %w", err)
	}
	if q.step, err = time.ParseDuration(fields[3]); err != nil {
		return q, fmt.Errorf("step: %w", err)
	}
	if q.step < time.Millisecond || q.span < 0 {
		return q, fmt.Errorf("range %s and step %s: want at least 0s and 1ms", q.span, q.step)
	}
	return q, nil
}
