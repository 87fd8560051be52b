package query

import (
	"errors"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/promql/parser"

	"tsdb/query/admission"
)

// Classes of many characters under (?i) take milliseconds each: many of them are
// refused, ordinary expressions are not.
func TestFoldedClassesAreBounded(t *testing.T) {
	p := NewParser(parser.Options{}, admission.TextLimits{})
	for _, class := range []string{`\\pL`, `\\PL`, `[^a]`, `\\W`, `[\\x{100}-\\x{1E900}]`, "[Ā-𞤀]", "[b-𞤀]"} {
		for _, flags := range []string{"(?i)", "(?si)", "(?i:"} {
			text := flags + strings.Repeat(class, 1000)
			if strings.HasSuffix(flags, ":") {
				text += ")"
			}
			_, err := p.ParseExpr(`up{a=~"` + text + `"}`)
			var over *admission.LimitError
			if !errors.As(err, &over) || over.Limit != admission.LimitText || !strings.Contains(err.Error(), "--query.max-text-memory") {
				t.Errorf("%s%s × 1000: %v", flags, class, err)
			}
		}
	}
	for _, text := range []string{
		"(?i)" + strings.Repeat("server-[a-z]+[0-9]+|", 2000), "(?i)" + strings.Repeat("[а-я]+|", 500), "(?i).*" + strings.Repeat("[^a]", 20), strings.Repeat(`\\pL|`, 1000),
		"(?s-i)" + strings.Repeat("[^a]|", 1000),
	} {
		if _, err := p.limits.Check(`up{a=~"` + text + `"}`); err != nil {
			t.Errorf("%.30s…: %v", text, err)
		}
	}
}

// A text counts for the common memory while it is parsed, and texts that are refused
// are counted.
func TestTextsAreChargedWhileParsed(t *testing.T) {
	reg := prometheus.NewRegistry()
	e := New(Options{TotalBytes: 2 << 20, Registerer: reg})
	flat := "up{" + strings.Repeat(`a!="b",`, 5000) + "}" // 20,000 tokens of 160 bytes
	var over *admission.LimitError
	if _, err := e.Parser().ParseExpr(flat); !errors.As(err, &over) || over.Limit != admission.LimitTotalBytes {
		t.Errorf("got %v", err)
	}
	if _, err := e.Parser().ParseMetricSelector(flat); !errors.As(err, &over) || over.Limit != admission.LimitTotalBytes {
		t.Errorf("got %v", err)
	}
	if _, err := e.Parser().ParseMetricSelectors([]string{flat[:len(flat)/2] + `a=""}`, flat[:len(flat)/2] + `a=""}`}); err == nil {
		t.Error("two halves are taken")
	}
	if _, err := e.Parser().ParseExpr(strings.Repeat("(", 600) + "1"); err == nil {
		t.Error("a deep text is taken")
	}
	if _, err := e.Parser().ParseExpr("up"); err != nil {
		t.Error(err)
	}
	if n := e.MemoryBytes(); n != 0 {
		t.Errorf("%d bytes held", n)
	}
	if n := testutil.ToFloat64(e.metrics.limited.WithLabelValues(string(admission.LimitText))); n != 1 {
		t.Errorf("%v texts counted as refused", n)
	}
	if n := testutil.ToFloat64(e.metrics.limited.WithLabelValues(string(admission.LimitTotalBytes))); n < 2 {
		t.Errorf("%v texts counted as too much memory", n)
	}
}
