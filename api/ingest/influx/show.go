package influx

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	prommodel "github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/api/reqbody"
	"tsdb/internal/model"
	"tsdb/storage"
)

// Bounds of the answers about names.
const (
	maxShownMetrics = 100_000 // of a database
	maxShownRows    = 100_000 // of an answer
	maxShownSeries  = 100_000 // selected for SHOW SERIES
	maxShownTables  = 1_000   // measurements that are asked one by one
)

// Errors of answers that would exceed a bound.
var (
	errShownMetrics = fmt.Errorf("the database has more than %d metrics: choose some by tags with WHERE", maxShownMetrics)
	errShownRows    = fmt.Errorf("the answer has more than %d rows: name measurements with FROM, conditions with WHERE, or a smaller LIMIT and OFFSET", maxShownRows)
	errShownSeries  = fmt.Errorf("more than %d series would be read: name measurements with FROM, or tags with WHERE; LIMIT alone does not help", maxShownSeries)
	errShownBytes   = fmt.Errorf("the answers of a query would take more than %d MiB: name measurements with FROM, conditions with WHERE, or a smaller LIMIT", maxShownBytes>>20)
	errShownTables  = fmt.Errorf("more than %d measurements would be asked: name some with FROM", maxShownTables)
)

// show is a parsed SHOW statement about measurements, tags, fields or series.
type show struct {
	what          string // measurements, tag keys, tag values, field keys or series
	db            string
	from          []func(measurement string) bool // any of them; none = all
	keys          func(key string) bool           // of tags, of tag values
	where         *condition
	limit, offset int // 0 = none
}

// showKinds are the words after SHOW of these statements.
var showKinds = []string{"measurements", "tag keys", "tag values", "field keys", "series"}

// parseShow parses the words after SHOW. known is false if it is another statement.
func (h *Handler) parseShow(words []string, db string) (s show, known bool, err error) {
	for _, kind := range showKinds {
		n := 1 + strings.Count(kind, " ")
		if len(words) < n || !strings.EqualFold(strings.Join(words[:n], " "), kind) {
			continue
		}
		s = show{what: kind, db: db, where: &condition{times: model.AllTime}}
		err = s.parse(strings.Join(words[n:], " "), h)
		return s, true, err
	}
	return s, false, nil
}

// parse parses [ON db] [FROM m, …] [WITH MEASUREMENT … | WITH KEY …] [WHERE …]
// [ORDER BY …] [LIMIT n] [OFFSET n].
func (s *show) parse(text string, h *Handler) (err error) {
	// The end of WHERE is searched from the end of the text, which cannot be quoted.
	for _, tail := range []struct {
		re *regexp.Regexp
		n  *int
	}{{offsetTail, &s.offset}, {limitTail, &s.limit}, {offsetTail, &s.offset}} {
		if m := tail.re.FindStringSubmatchIndex(text); m != nil {
			if *tail.n, err = strconv.Atoi(text[m[2]:m[3]]); err != nil {
				return fmt.Errorf("invalid number %s", text[m[2]:m[3]])
			}
			text = text[:m[0]]
		}
	}
	text = orderTail.ReplaceAllString(text, "")
	p := &conditionParser{rest: text}
	for {
		t, err := p.next(false)
		switch {
		case err != nil:
			return err
		case t.kind == tokenEnd:
			if s.what == "tag values" && s.keys == nil {
				return errors.New("found EOF, expected WITH KEY")
			}
			return nil
		case t.isKeyword("on"):
			if t, err = p.next(false); err != nil || t.text == "" {
				return errors.New("expected the name of a database after ON")
			}
			s.db = t.text
		case t.isKeyword("from"):
			err = s.parseFrom(p)
		case t.isKeyword("with"):
			err = s.parseWith(p)
		case t.isKeyword("where"):
			s.where, err = parseCondition(p.rest, h.shared.Clock.Now())
			p.rest = ""
		default:
			err = fmt.Errorf("found %s, expected ON, FROM, WITH, WHERE, LIMIT or OFFSET", t.describe())
		}
		if err != nil {
			return err
		}
	}
}

// Clauses at the end of a statement.
var (
	limitTail  = regexp.MustCompile(`(?i)(?:^|\s)limit\s+(\d+)\s*$`)
	offsetTail = regexp.MustCompile(`(?i)(?:^|\s)offset\s+(\d+)\s*$`)
	orderTail  = regexp.MustCompile(`(?i)(?:^|\s)order\s+by\s+\w+(?:\s+asc)?\s*$`)
)

// parseFrom parses measurements, also with a retention policy before them.
func (s *show) parseFrom(p *conditionParser) error {
	for {
		t, err := p.next(true)
		if err != nil {
			return err
		}
		f, err := oneOf(t)
		if err != nil {
			return err
		}
		next, err := p.peek()
		if err != nil {
			return err
		}
		for next.kind == tokenWord && strings.HasPrefix(next.text, ".") { // "policy"."measurement"
			if _, err = p.next(false); err != nil {
				return err
			}
			if name := strings.Trim(next.text, "."); name != "" {
				t = token{tokenWord, name}
			} else if t, err = p.next(true); err != nil {
				return err
			}
			if f, err = oneOf(t); err != nil {
				return err
			}
			if next, err = p.peek(); err != nil {
				return err
			}
		}
		s.from = append(s.from, f)
		if next != (token{tokenSign, ","}) {
			return nil
		}
		_, _ = p.next(false)
	}
}

// oneOf returns a function that recognises a name or what a regular expression matches.
func oneOf(t token) (func(string) bool, error) {
	switch t.kind {
	case tokenRegexp:
		re, err := regexp.Compile(t.text)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	case tokenWord:
		name := t.text[strings.LastIndexByte(t.text, '.')+1:]
		return func(s string) bool { return s == name }, nil
	case tokenQuoted, tokenString:
		return func(s string) bool { return s == t.text }, nil
	}
	return nil, fmt.Errorf("found %s, expected a name or a regular expression", t.describe())
}

// parseWith parses MEASUREMENT = m, KEY = k, KEY IN (k, …), and the same with =~, != and !~.
func (s *show) parseWith(p *conditionParser) error {
	what, err := p.next(false)
	if err != nil {
		return err
	}
	op, err := p.next(false)
	if err != nil {
		return err
	}
	var f func(string) bool
	if op.isKeyword("in") {
		f, err = parseList(p)
	} else {
		var t token
		if t, err = p.next(op.text == "=~" || op.text == "!~"); err == nil {
			f, err = oneOf(t)
		}
	}
	if err != nil {
		return err
	}
	if op.text == "!=" || op.text == "!~" || op.text == "<>" {
		is := f
		f = func(s string) bool { return !is(s) }
	} else if op.text != "=" && op.text != "=~" && !op.isKeyword("in") {
		return fmt.Errorf("found %s, expected =, !=, =~, !~ or IN", op.describe())
	}
	switch {
	case what.isKeyword("measurement") && s.what == "measurements":
		s.from = append(s.from, f)
	case what.isKeyword("key") && s.what == "tag values":
		s.keys = f
	default:
		return fmt.Errorf("found %s after WITH", what.describe())
	}
	return nil
}

// parseList parses (name, …).
func parseList(p *conditionParser) (func(string) bool, error) {
	var names []string
	for want := "("; ; want = "," {
		t, err := p.next(false)
		if err != nil {
			return nil, err
		}
		if t == (token{tokenSign, ")"}) && want == "," {
			return func(s string) bool { return slices.Contains(names, s) }, nil
		}
		if t != (token{tokenSign, want}) {
			return nil, fmt.Errorf("found %s, expected %s", t.describe(), want)
		}
		if t, err = p.next(false); err != nil {
			return nil, err
		}
		names = append(names, t.text)
	}
}

// execute answers the statement from the index.
func (s *show) execute(ctx context.Context, h *Handler, memory *shownMemory) result {
	tables, err := s.tables(ctx, h, memory)
	if err != nil {
		return result{Error: err.Error()}
	}
	return result{Series: tables}
}

// shown is a measurement with the names of its metrics, which are sorted, and their
// fields.
type shown struct {
	name            string
	metrics, fields []string
}

func (s *show) tables(ctx context.Context, h *Handler, memory *shownMemory) (tables []table, err error) {
	if s.where.measurement != "" || s.where.field != "" {
		return nil, errors.New("measurements are named after FROM")
	}
	x := &index{h: h, show: s, memory: memory}
	if err := x.open(); err != nil {
		return nil, err
	}
	defer x.view.Release()
	all, err := x.measurements(ctx)
	if err != nil {
		return nil, err
	}
	switch s.what {
	case "measurements":
		t := table{Name: "measurements", Columns: []string{"name"}}
		for _, m := range all {
			t.Values = append(t.Values, []any{m.name})
		}
		return s.page(nil, t), nil
	case "field keys":
		for _, m := range all {
			t := table{Name: m.name, Columns: []string{"fieldKey", "fieldType"}}
			for _, f := range m.fields {
				t.Values = append(t.Values, []any{f, "float"})
			}
			tables = s.page(tables, t)
		}
		return tables, nil
	case "series":
		return x.series(ctx, all)
	}
	if len(all) > maxShownTables {
		return nil, errShownTables
	}
	rows := 0
	for _, m := range all {
		t, err := x.tags(ctx, m, maxShownRows-rows)
		if err != nil {
			return nil, err
		}
		rows += len(t.Values)
		tables = s.page(tables, t)
	}
	return tables, nil
}

// page appends the rows of a table that LIMIT and OFFSET select, if there are any.
func (s *show) page(tables []table, t table) []table {
	t.Values = t.Values[min(s.offset, len(t.Values)):]
	if s.limit > 0 {
		t.Values = t.Values[:min(s.limit, len(t.Values))]
	}
	if len(t.Values) == 0 {
		return tables
	}
	return append(tables, t)
}

// index reads names for a statement.
type index struct {
	h      *Handler
	show   *show
	view   *storage.View
	tenant uint32
	ms     []*labels.Matcher // of the database and of WHERE
	memory *shownMemory
}

// shownMemory is the memory of what the statements of a query list.
type shownMemory struct {
	charge *reqbody.Charge
	bytes  int64
}

const (
	// maxShownBytes bounds the memory of all statements of a query.
	maxShownBytes = 64 << 20
	// shownRowBytes is the memory of a row besides its text, which is there again in the
	// JSON of the answer.
	shownRowBytes = 96
	// shownSeriesBytes is about the memory of a selected series with its labels.
	shownSeriesBytes = 400
)

// take charges bytes before they are allocated.
func (m *shownMemory) take(ctx context.Context, n int64) error {
	if m.bytes += n; m.bytes > maxShownBytes {
		return errShownBytes
	}
	return m.charge.Take(ctx, n)
}

// rows charges rows of one text each.
func (m *shownMemory) rows(ctx context.Context, texts ...string) error {
	n := int64(0)
	for _, s := range texts {
		n += shownRowBytes + 2*int64(len(s))
	}
	return m.take(ctx, n)
}

func (x *index) open() error {
	db, err := x.h.opts.DB()
	if err != nil {
		return err
	}
	if x.tenant, err = db.Tenant(x.h.opts.Tenant); err != nil {
		return err
	}
	n := x.h.opts.Naming
	if x.show.db != "" && x.h.opts.DBLabel != "" {
		name, _, _ := strings.Cut(x.show.db, "/")
		x.ms = append(x.ms, labels.MustNewMatcher(labels.MatchEqual, x.h.opts.DBLabel, name))
	}
	for _, t := range x.show.where.tags {
		m, err := labels.NewMatcher(t.Type, n.label(t.Name), t.Value)
		if err != nil {
			return err
		}
		x.ms = append(x.ms, m)
	}
	x.view, err = db.View()
	return err
}

// measurements returns the measurements that the statement is about, by name.
func (x *index) measurements(ctx context.Context) ([]shown, error) {
	metrics, _, err := x.view.LabelValues(ctx, x.tenant, prommodel.MetricNameLabel, x.show.where.times, maxShownMetrics+1, x.ms...)
	if err != nil {
		return nil, err
	}
	if len(metrics) > maxShownMetrics {
		return nil, errShownMetrics
	}
	if err := x.memory.rows(ctx, metrics...); err != nil {
		return nil, err
	}
	at := map[string]int{}
	var all []shown
	for _, metric := range metrics {
		m, field := x.h.measurements.split(x.h.opts.Naming, metric)
		if len(x.show.from) > 0 && !slices.ContainsFunc(x.show.from, func(f func(string) bool) bool { return f(m) }) {
			continue
		}
		i, ok := at[m]
		if !ok {
			i = len(all)
			at[m] = i
			all = append(all, shown{name: m})
		}
		all[i].metrics = append(all[i].metrics, metric)
		all[i].fields = append(all[i].fields, field)
	}
	slices.SortFunc(all, func(a, b shown) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// of returns the matchers of a measurement.
func (x *index) of(m shown) ([]*labels.Matcher, error) {
	quoted := make([]string, len(m.metrics))
	for i, name := range m.metrics {
		quoted[i] = regexp.QuoteMeta(name)
	}
	one, err := labels.NewMatcher(labels.MatchRegexp, prommodel.MetricNameLabel, strings.Join(quoted, "|"))
	return append(slices.Clone(x.ms), one), err
}

// isTag reports whether a label is a tag of line protocol.
func (x *index) isTag(name string) bool {
	return name != prommodel.MetricNameLabel && name != x.h.opts.DBLabel
}

// tags returns the keys or the values of the tags of a measurement, those that LIMIT and
// OFFSET select among the first rows, at most limit.
func (x *index) tags(ctx context.Context, m shown, limit int) (table, error) {
	t := table{Name: m.name, Columns: []string{"tagKey"}}
	ms, err := x.of(m)
	if err != nil {
		return t, err
	}
	names, _, err := x.view.LabelNames(ctx, x.tenant, x.show.where.times, 0, ms...)
	if err != nil {
		return t, err
	}
	values := x.show.what == "tag values"
	if values {
		t.Columns = []string{"key", "value"}
	}
	for _, name := range names {
		switch {
		case !x.isTag(name):
		case !values:
			t.Values = append(t.Values, []any{name})
		case x.show.keys(name):
			wanted := limit + 1
			if s := x.show; s.limit > 0 {
				wanted = min(wanted, s.offset+s.limit)
			}
			if wanted -= len(t.Values); wanted <= 0 {
				return t, nil
			}
			some, _, err := x.view.LabelValues(ctx, x.tenant, name, x.show.where.times, wanted, ms...)
			if err == nil {
				err = x.memory.rows(ctx, some...)
			}
			if err != nil {
				return t, err
			}
			for _, v := range some {
				t.Values = append(t.Values, []any{name, v})
			}
		}
		if len(t.Values) > limit {
			return t, errShownRows
		}
	}
	return t, nil
}

// series returns the keys of the series: measurement and tags, without the field.
func (x *index) series(ctx context.Context, all []shown) ([]table, error) {
	t := table{Columns: []string{"key"}}
	selected := 0
	x.view.SetReadOptions(storage.ReadOptions{Reserve: func(n int) error { // before they are allocated
		if selected += n; selected > maxShownSeries {
			return errShownSeries
		}
		return x.memory.take(ctx, int64(n)*shownSeriesBytes)
	}})
	for _, m := range all {
		ms, err := x.of(m)
		if err != nil {
			return nil, err
		}
		set, err := x.view.ListSeries(ctx, x.tenant, x.show.where.times, ms...)
		if err != nil {
			return nil, err
		}
		var keys []string
		for i := range set.Len() {
			key := x.key(m.name, set.At(i).Labels)
			if err := x.memory.rows(ctx, key); err != nil {
				return nil, err
			}
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, k := range slices.Compact(keys) {
			t.Values = append(t.Values, []any{k})
		}
		if wanted := x.show.offset + x.show.limit; x.show.limit > 0 && len(t.Values) >= wanted {
			break
		}
	}
	return x.show.page(nil, t), nil
}

// keyEscaper escapes names and values in the key of a series.
var keyEscaper = strings.NewReplacer(",", `\,`, " ", `\ `, "=", `\=`)

// key returns the key of a series in line protocol.
func (x *index) key(measurement string, ls labels.Labels) string {
	var b strings.Builder
	b.WriteString(strings.NewReplacer(",", `\,`, " ", `\ `).Replace(measurement))
	ls.Range(func(l labels.Label) {
		if x.isTag(l.Name) {
			b.WriteString("," + keyEscaper.Replace(l.Name) + "=" + keyEscaper.Replace(l.Value))
		}
	})
	return b.String()
}
