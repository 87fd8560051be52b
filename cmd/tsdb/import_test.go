package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"

	"tsdb/encoding"
	"tsdb/internal/doctortest"
	"tsdb/internal/model"
	"tsdb/internal/vfs"
)

// runCommand runs a command and returns what it prints and its exit code.
func runCommand(args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return out.String(), err.String(), code
}

// dataDir returns the name of a data directory. If a command makes it, it is checked when
// the test ends.
func dataDir(t *testing.T, elem ...string) string {
	t.Helper()
	dir := filepath.Join(elem...)
	t.Cleanup(func() {
		if _, err := os.Stat(dir); err == nil {
			doctortest.Check(t, vfs.OS, dir)
		}
	})
	return dir
}

func TestImportExplainsItsUsage(t *testing.T) {
	for want, args := range map[string][]string{
		"what kind of source":        {"import"},
		`unknown kind of source "x"`: {"import", "x", "dir", "--to", "data"},
		"no source":                  {"import", "prometheus", "--to", "data"},
		"--to is missing":            {"import", "prometheus", "dir"},
		"unknown flag --too":         {"import", "prometheus", "dir", "--too", "data"},
		"no address of a server":     {"import", "prometheus", t.TempDir(), "--to", "http://"},
	} {
		if strings.Contains(want, "no address") {
			must(t, os.Mkdir(filepath.Join(args[2], "wal"), 0o700))
		}
		if _, stderr, code := runCommand(args...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	if stdout, _, code := runCommand("import", "--help"); code != exitOK || !strings.Contains(stdout, "--dry-run") {
		t.Errorf("--help: exit %d, %q", code, stdout)
	}
	if _, stderr, code := runCommand("import", "prometheus", t.TempDir(), "--to", t.TempDir()); code != exitFailure || !strings.Contains(stderr, "neither blocks nor a log") {
		t.Errorf("an empty source: exit %d, %q", code, stderr)
	}
}

// prometheusDir makes a directory of Prometheus with samples from 40 days ago on.
func prometheusDir(t *testing.T) (dir string, samples int) {
	t.Helper()
	dir = t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "wal"), 0o700))
	first := time.Now().Add(-40 * 24 * time.Hour).Truncate(24 * time.Hour).UnixMilli()
	w, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), dir, 1000*24*3600*1000)
	must(t, err)
	app := w.Appender(context.Background())
	for day := range int64(5) {
		for i := range 20 {
			_, err := app.Append(0, labels.FromStrings("__name__", "m", "i", fmt.Sprint(i)), first+day*24*3600*1000+int64(i), float64(day))
			must(t, err)
			samples++
		}
	}
	must(t, app.Commit())
	_, err = w.Flush(context.Background())
	must(t, err)
	must(t, w.Close())
	return dir, samples
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestImportIntoDirectory(t *testing.T) {
	source, n := prometheusDir(t)
	to := dataDir(t, t.TempDir(), "data")
	if _, stderr, code := runCommand("import", "prometheus", source, "--to", to); code != exitFailure || !strings.Contains(stderr, "--retention.raw") {
		t.Errorf("older than the retention: exit %d, %q", code, stderr)
	}
	stdout, stderr, code := runCommand("import", "prometheus", source, "--to", filepath.Join(t.TempDir(), "nothing"), "--dry-run")
	if code != exitOK || !strings.Contains(stdout, "100 samples read") || !strings.Contains(stdout, "too_old") {
		t.Errorf("dry run: exit %d, %q %q", code, stdout, stderr)
	}
	stdout, stderr, code = runCommand("import", "prometheus", "--to", to, source, "--retention.raw", "0")
	if code != exitOK || !strings.Contains(stdout, fmt.Sprint(n, " imported")) {
		t.Errorf("exit %d, %q %q", code, stdout, stderr)
	}
	stdout, _, code = runCommand("import", "prometheus", "--to", to, source, "--retention.raw", "0")
	if code != exitOK || !strings.Contains(stdout, "0 samples read") || !strings.Contains(stdout, "had been imported before") {
		t.Errorf("again: exit %d, %q", code, stdout)
	}
	if stdout, _, code = runCommand("inspect", "--data", to); code != exitOK || !strings.Contains(stdout, "100") {
		t.Errorf("inspect: exit %d, %q", code, stdout)
	}
}

// Retention rules of the server's configuration are looked at before an import into its
// directory starts; without it, what the directory has is never expired by an import.
func TestImportLooksAtRetentionRules(t *testing.T) {
	source, _ := prometheusDir(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "tsdb.yaml")
	must(t, os.WriteFile(config, []byte("retention.raw: 1y\nretention:\n  - {match: '{i=\"7\"}', raw: 3d}\n"), 0o600))
	to := dataDir(t, dir, "data")
	want := `5 before `
	_, stderr, code := runCommand("import", "prometheus", source, "--to", to, "--config", config)
	if code != exitFailure || !strings.Contains(stderr, want) || !strings.Contains(stderr, `(the retention rule {i="7"})`) {
		t.Errorf("exit %d, %q", code, stderr)
	}
	stdout, _, code := runCommand("import", "prometheus", source, "--to", filepath.Join(dir, "x"), "--config", config, "--dry-run")
	if code != exitOK || !strings.Contains(stdout, `refused: 5, too_old by the rule {i="7"}`) {
		t.Errorf("dry run: exit %d, %q", code, stdout)
	}
	stdout, stderr, code = runCommand("import", "prometheus", source, "--to", to, "--config", config, "--skip-old")
	if code != exitOK || !strings.Contains(stdout, "95 imported") {
		t.Errorf("exit %d, %q %q", code, stdout, stderr)
	}
	_, stderr, code = runCommand("import", "prometheus", source, "--to", to, "--config", config, "--retention.raw", "1d", "--restart")
	if code != exitFailure || !strings.Contains(stderr, "95 before ") {
		t.Errorf("--retention.raw takes precedence: exit %d, %q", code, stderr)
	}
	if _, stderr, code = runCommand("import", "prometheus", source, "--to", to, "--config", source); code != exitUsage {
		t.Errorf("no configuration file: exit %d, %q", code, stderr)
	}
}

// Samples that are older than their retention are refused before anything is written, from
// files of every kind, and the error names the setting, or the rule, that keeps them too short.
func TestImportOfOldSamplesNamesTheSetting(t *testing.T) {
	dir := t.TempDir()
	ms := time.Now().Add(-40 * 24 * time.Hour).UnixMilli()
	config := filepath.Join(dir, "tsdb.yaml")
	must(t, os.WriteFile(config, []byte("retention.raw: 1y\nretention:\n  - {match: '{i=\"7\"}', raw: 3d}\n"), 0o600))
	for kind, c := range map[string]struct {
		text string
		args []string
	}{
		"lines":       {fmt.Sprintf(`{"metric":{"__name__":"m","i":"7"},"values":[1],"timestamps":[%d]}`+"\n", ms), nil},
		"csv":         {fmt.Sprintf("%d,7,1\n", ms), []string{"--csv.format", "1:time:unix_ms,2:label:i,3:metric:m"}},
		"openmetrics": {fmt.Sprintf("m{i=\"7\"} 1 %d\n# EOF\n", ms/1000), nil},
		"text":        {fmt.Sprintf("m{i=\"7\"} 1 %d\n", ms), nil},
		"influx":      {fmt.Sprintf("m,i=7 v=1 %d\n", ms), []string{"--influx.precision", "ms"}},
	} {
		file, to := filepath.Join(dir, kind), dataDir(t, dir, kind+".data")
		must(t, os.WriteFile(file, []byte(c.text), 0o600))
		for want, args := range map[string][]string{
			"(--retention.raw)": nil,
			`(the retention rule {i="7"}), the first of ` + time.UnixMilli(ms).UTC().Format("2006-01-02"): {"--config", config},
		} {
			args := slices.Concat([]string{"import", kind, file, "--to", to}, c.args, args)
			_, stderr, code := runCommand(args...)
			if code != exitFailure || !strings.Contains(stderr, want) || !strings.Contains(stderr, "1 before ") || !strings.Contains(stderr, "--skip-old") {
				t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
			}
		}
		if blocks, err := filepath.Glob(filepath.Join(to, "*", "*.tsb")); err != nil || len(blocks) > 0 {
			t.Errorf("%s: %v were written, %v", kind, blocks, err)
		}
		args := slices.Concat([]string{"import", kind, file, "--to", to}, c.args, []string{"--config", config, "--retention.raw", "0"})
		if stdout, stderr, code := runCommand(append(args, "--dry-run")...); code != exitOK || !strings.Contains(stdout, `too_old by the rule {i="7"}`) {
			t.Errorf("%v: dry run: exit %d, %q %q", args, code, stdout, stderr)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// What is exported from a directory comes back bit for bit, through a compressed file
// into another directory: the exports of both are equal.
func TestExportAndImportKeepEverything(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	now := time.Now().UnixMilli()
	text := fmt.Sprintf(`{"metric":{"__name__":"m","a":"é\"\n"},"values":[1,-0,0.1,5e-324,null,"Infinity","-Infinity","NaN:7ff0000000000002"],"timestamps":[%d,%d,%d,%d,%d,%d,%d,%d]}
{"metric":{"__name__":"h"},"histograms":["%s"],"timestamps":[%d],"starts":[%d]}
{"metric":{"a":"b"},"values":[1],"timestamps":[1]}
`, now-8, now-7, now-6, now-5, now-4, now-3, now-2, now-1, histogramText(), now, now-100)
	must(t, os.WriteFile(at("first.jsonl"), []byte(text), 0o600))
	stdout, stderr, code := runCommand("import", "lines", at("first.jsonl"), "--to", dataDir(t, dir, "one"))
	if code != exitOK || !strings.Contains(stdout, "9 imported") || !strings.Contains(stdout, "refused: 1, no_name") {
		t.Fatalf("exit %d, %q %q", code, stdout, stderr)
	}
	if _, stderr, code = runCommand("export", "--from", at("one"), "--to", at("x.jsonl.zst")); code != exitOK || !strings.Contains(stderr, "9 samples exported") {
		t.Fatalf("exit %d, %q", code, stderr)
	}
	if stdout, stderr, code = runCommand("import", "lines", at("x.jsonl.zst"), "--to", dataDir(t, dir, "two")); code != exitOK || strings.Contains(stdout, "refused") {
		t.Fatalf("exit %d, %q %q", code, stdout, stderr)
	}
	one, _, _ := runCommand("export", "--from", at("one"), "--to", "-")
	two, _, _ := runCommand("export", "--from", at("two"), "--to", "-")
	if one != two || strings.Count(one, "\n") != 2 {
		t.Errorf("got\n%s\nwant\n%s", two, one)
	}
	if want := strings.SplitAfter(text, "\n")[0]; !strings.Contains(one, want) {
		t.Errorf("the line\n%s is not in\n%s", want, one)
	}
	_, stderr, code = runCommand("export", "--from", at("one"), "--to", at("x.parquet"), "--format", "parquet")
	if code != exitOK || !strings.Contains(stderr, "1 native histograms") {
		t.Errorf("parquet: exit %d, %q", code, stderr)
	}
	// CSV comes back too, but for what it cannot hold.
	_, _, code = runCommand("export", "--from", at("one"), "--to", at("x.csv.gz"), "--format", "csv")
	if stdout, stderr, code2 := runCommand("import", "csv", at("x.csv.gz"), "--csv.format", "tsdb", "--to", dataDir(t, dir, "three")); code+code2 != exitOK || strings.Contains(stdout, "refused") {
		t.Errorf("import of csv: exit %d, %q %q", code2, stdout, stderr)
	}
	three, _, _ := runCommand("export", "--from", at("three"), "--to", "-")
	if want := strings.Replace(strings.SplitAfter(text, "\n")[0], `"NaN:7ff0000000000002"`, "null", 1); three != want {
		t.Errorf("csv: got\n%s\nwant\n%s", three, want)
	}
	stdout, _, code = runCommand("export", "--from", at("one"), "--to", "-", "--format", "csv", "--match", `{a=~".+"}`, "--start", fmt.Sprint(float64(now-6)/1000))
	if code != exitOK || strings.Count(stdout, "\n") != 7 {
		t.Errorf("csv: exit %d, %q", code, stdout)
	}
	for want, args := range map[string][]string{
		"--from is missing":    {"--to", "x"},
		"--to is missing":      {"--from", "x"},
		`unknown format "xml"`: {"--from", "x", "--to", "x", "--format", "xml"},
		"--match":              {"--from", "x", "--to", "x", "--match", "{"},
		"neither RFC 3339 nor": {"--from", "x", "--to", "x", "--start", "yesterday"},
		"is no address of a":   {"--from", "http://", "--to", at("y")},
	} {
		if _, stderr, code := runCommand(append([]string{"export"}, args...)...); code != exitUsage || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	if _, stderr, code := runCommand("export", "--from", at("nothing"), "--to", at("y")); code != exitFailure || !strings.Contains(stderr, "no data directory") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	if _, err := os.Stat(at("y")); err == nil {
		t.Error("a failed export left its file")
	}
}

// histogramText is a histogram as it is in a line.
func histogramText() string {
	h := model.Histogram{Int: &histogram.Histogram{Schema: 1, Count: 2, Sum: 3.5, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{2}}}
	return base64.StdEncoding.EncodeToString(encoding.AppendHistogram(nil, h))
}
