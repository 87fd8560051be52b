package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// wantedImport is the goal of imports, in samples a CPU second.
const wantedImport = 3e6

// transferCost prints a line of the table of imports and exports.
func transferCost(what string, costs []commandCost, samples int, bytes int64) {
	cpu := middle(costs, func(c commandCost) time.Duration { return c.cpu }).Seconds()
	took := middle(costs, func(c commandCost) time.Duration { return c.took }).Seconds()
	fmt.Printf("| %s | %.1f | %.2f | %.2f | %.1f | %.0f |\n", what, float64(bytes)/1e6, took, cpu, float64(samples)/cpu/1e6,
		float64(middle(costs, func(c commandCost) int64 { return c.rss }))/1e6)
}

// measureForms measures imports from every kind of source into an empty directory, and
// exports of it in every format.
func (o *importOptions) measureForms(ctx context.Context) error {
	prom, err := o.prometheus(ctx)
	if err != nil {
		return err
	}
	samples, err := countSamples(o.set())
	if err != nil {
		return err
	}
	fmt.Printf("\n%d series, %d samples; wanted of imports: %g M samples a CPU second\n\n", o.targets*500, samples, wantedImport/1e6)
	fmt.Printf("| command | MB of the source or file | s | CPU, s | M samples a CPU second | peak RSS, MB |\n|---|---:|---:|---:|---:|---:|\n")
	db := filepath.Join(o.data, "imported")
	if err := o.importOnce(ctx, db, "prometheus", prom); err != nil {
		return err
	}
	defer os.RemoveAll(db)
	if err := o.measureImport(ctx, "import prometheus", prom, samples, "prometheus", prom); err != nil {
		return err
	}
	for _, f := range []struct {
		name, format string
		kind         []string // of the import of what was exported; nil = none
	}{
		{"export.jsonl", "jsonl", []string{"lines"}},
		{"export.csv", "csv", []string{"csv", "--csv.format", "tsdb"}},
		{"export.om", "openmetrics", []string{"openmetrics"}},
		{"export.parquet", "parquet", nil},
	} {
		if err := o.measureExport(ctx, db, f.name, f.format, f.kind, samples); err != nil {
			return err
		}
	}
	for kind, line := range map[string]func([]byte, labels.Labels, int64, float64) []byte{"text": appendTextLine, "influx": appendInfluxLine} {
		err := o.scratch("lines."+kind, func(name string) error {
			if err := writeLines(name, o.set(), line); err != nil {
				return err
			}
			args := []string{kind, name}
			if kind == "influx" {
				args = append(args, "--influx.precision", "ms")
			}
			return o.measureImport(ctx, "import "+kind, name, samples, args...)
		})
		if err != nil {
			return err
		}
	}
	return o.measureRemoteRead(ctx, db, samples)
}

func (o *importOptions) importOnce(ctx context.Context, to string, source ...string) error {
	state := to + ".state"
	if err := errors.Join(os.RemoveAll(to), os.RemoveAll(state)); err != nil {
		return err
	}
	defer os.Remove(state)
	_, err := runCommand(ctx, o.tsdb, append([]string{"import", "--to", to, "--state", state}, source...)...)
	return err
}

// measureImport measures an import. Files that do not tell how old their samples are would
// be read twice, so old samples are allowed.
func (o *importOptions) measureImport(ctx context.Context, what, source string, samples int, args ...string) error {
	size, err := server.Size(source)
	if err != nil {
		return err
	}
	var costs []commandCost
	for range o.runs {
		err := o.scratch("target", func(dir string) error {
			defer os.Remove(dir + ".state")
			c, err := runCommand(ctx, o.tsdb, append([]string{"import", "--to", dir, "--state", dir + ".state", "--skip-old"}, args...)...)
			costs = append(costs, c)
			return err
		})
		if err != nil {
			return err
		}
	}
	transferCost(what, costs, samples, size)
	return nil
}

// measureExport measures an export, and the import of what it wrote.
func (o *importOptions) measureExport(ctx context.Context, db, name, format string, kind []string, samples int) error {
	return o.scratch(name, func(file string) error {
		var costs []commandCost
		for range o.runs {
			c, err := runCommand(ctx, o.tsdb, "export", "--from", db, "--to", file, "--format", format)
			if err != nil {
				return err
			}
			costs = append(costs, c)
		}
		size, err := server.Size(file)
		if err != nil {
			return err
		}
		transferCost("export --format "+format, costs, samples, size)
		if kind == nil {
			return nil
		}
		return o.measureImport(ctx, "import "+strings.Join(kind, " "), file, samples, append(kind, file)...)
	})
}

// measureRemoteRead measures an import from a server of this project. The CPU is that of the command;
// that of the server is printed beside it.
func (o *importOptions) measureRemoteRead(ctx context.Context, db string, samples int) error {
	p, _, err := server.Start(ctx, server.TSDB(o.tsdb), db)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := p.Idle(ctx, time.Second); err != nil {
		return err
	}
	before, err := p.CPU()
	if err != nil {
		return err
	}
	start := time.Now().Add(-time.Duration(o.days+3) * day).UTC().Format(time.RFC3339)
	if err := o.measureImport(ctx, "import remote-read", db, samples, "remote-read", "--from", p.URL, "--start", start); err != nil {
		return err
	}
	after, err := p.CPU()
	fmt.Printf("\nThe server that was read took %.2f s of CPU an import.\n", ((after - before) / time.Duration(o.runs)).Seconds())
	return err
}

// writeLines writes a set as lines of text, series by series.
func writeLines(name string, set sets.Set, line func([]byte, labels.Labels, int64, float64) []byte) (err error) {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var b []byte
	for g := range set.Groups {
		series, err := set.Group(g)
		if err != nil {
			return err
		}
		for _, s := range series {
			for i, t := range s.Times {
				b = line(b[:0], s.Labels, t, s.Values[i])
				if _, err := w.Write(b); err != nil {
					return err
				}
			}
		}
	}
	return w.Flush()
}

// appendTextLine appends a line of Prometheus' text format.
func appendTextLine(b []byte, ls labels.Labels, t int64, v float64) []byte {
	b = append(b, ls.Get(model.MetricNameLabel)...)
	sep := byte('{')
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel {
			return
		}
		b = append(b, sep)
		b = append(b, l.Name...)
		b = append(b, '=')
		b = strconv.AppendQuote(b, l.Value)
		sep = ','
	})
	if sep == ',' {
		b = append(b, '}')
	}
	b = append(b, ' ')
	b = strconv.AppendFloat(b, v, 'g', -1, 64)
	b = append(b, ' ')
	b = strconv.AppendInt(b, t, 10)
	return append(b, '\n')
}

// influxEscaper escapes a tag's value.
var influxEscaper = strings.NewReplacer(" ", `\ `, ",", `\,`, "=", `\=`)

// appendInfluxLine appends a line of the line protocol with one field.
func appendInfluxLine(b []byte, ls labels.Labels, t int64, v float64) []byte {
	b = append(b, ls.Get(model.MetricNameLabel)...)
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel {
			return
		}
		b = append(b, ',')
		b = append(b, l.Name...)
		b = append(b, '=')
		b = append(b, influxEscaper.Replace(l.Value)...)
	})
	b = append(b, " value="...)
	b = strconv.AppendFloat(b, v, 'g', -1, 64)
	b = append(b, ' ')
	b = strconv.AppendInt(b, t, 10)
	return append(b, '\n')
}
