package ingest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"

	"tsdb/internal/model"
)

const (
	maxDatabases   = 1024    // names made by CREATE DATABASE that are remembered
	maxStatements  = 100     // of one query
	maxQueryBytes  = 1 << 20 // of a query in a form
	maxIdentifiers = 255     // bytes of a database's name
)

// databases remembers the names clients have created. A database is nothing but
// a value of a label, so one without samples exists only here, until the
// process ends. It is safe for concurrent use.
type databases struct {
	mu    sync.Mutex
	names map[string]struct{}
}

func (d *databases) create(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names == nil {
		d.names = make(map[string]struct{})
	}
	if _, ok := d.names[name]; !ok && len(d.names) >= maxDatabases {
		return false
	}
	d.names[name] = struct{}{}
	return true
}

func (d *databases) drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
}

func (d *databases) list() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := make([]string, 0, len(d.names))
	for n := range d.names {
		l = append(l, n)
	}
	return l
}

// InfluxPing says that the server is there.
func (in *Ingest) InfluxPing(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		in.influxError(w, r, dialect1, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	in.influxHeaders(w, r)
	if v := r.URL.Query().Get("verbose"); v == "" || v == "0" || v == "false" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, map[string]string{"version": in.influxVersion()})
}

// InfluxHealth answers InfluxDB's health check.
func (in *Ingest) InfluxHealth(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		in.influxError(w, r, dialect2, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	in.influxHeaders(w, r)
	health := struct {
		Name    string   `json:"name"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
		Checks  []string `json:"checks"`
		Version string   `json:"version"`
		Commit  string   `json:"commit"`
	}{"influxdb", "ready for queries and writes", "pass", []string{}, in.influxVersion(), ""}
	status := http.StatusOK
	if err := in.health(); err != nil {
		health.Message, health.Status, status = err.Error(), "fail", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	writeJSON(w, health)
}

// The answers of /query.
type (
	influxResults struct {
		Results []influxResult `json:"results"`
	}
	influxResult struct {
		StatementID int           `json:"statement_id"`
		Series      []influxTable `json:"series,omitempty"`
		Error       string        `json:"error,omitempty"`
	}
	influxTable struct {
		Name    string     `json:"name"`
		Columns []string   `json:"columns"`
		Values  [][]string `json:"values"`
	}
)

// InfluxQuery answers the statements that clients send before they write: SHOW,
// CREATE and DROP DATABASE. Queries of data are PromQL's affair.
func (in *Ingest) InfluxQuery(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		in.influxError(w, r, dialect1, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxQueryBytes)
	if err := r.ParseForm(); err != nil {
		in.influxError(w, r, dialect1, http.StatusBadRequest, "error parsing form values: "+err.Error())
		return
	}
	statements := splitStatements(r.Form.Get("q"))
	switch {
	case len(statements) == 0:
		in.influxError(w, r, dialect1, http.StatusBadRequest, `missing required parameter "q"`)
		return
	case len(statements) > maxStatements:
		in.influxError(w, r, dialect1, http.StatusBadRequest, "too many statements in one query")
		return
	}
	answer := influxResults{Results: make([]influxResult, len(statements))}
	for i, s := range statements {
		answer.Results[i] = in.execute(r.Context(), s)
		answer.Results[i].StatementID = i
	}
	in.influxHeaders(w, r)
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, answer)
}

func (in *Ingest) execute(ctx context.Context, words []string) influxResult {
	is := func(keywords ...string) bool {
		return len(words) >= len(keywords) && slices.EqualFunc(words[:len(keywords)], keywords, strings.EqualFold)
	}
	switch {
	case is("show", "databases") && len(words) == 2:
		return in.showDatabases(ctx)
	case is("create", "database") && len(words) >= 3:
		return in.createDatabase(words[2])
	case is("drop", "database") && len(words) == 3:
		return in.dropDatabase(ctx, words[2])
	}
	return influxResult{Error: "not supported: this path answers SHOW DATABASES, CREATE DATABASE and DROP DATABASE; data are queried in PromQL on /api/v1/query"}
}

func (in *Ingest) showDatabases(ctx context.Context) influxResult {
	stored, err := in.storedDatabases(ctx)
	if err != nil {
		return influxResult{Error: err.Error()}
	}
	// Clients take it for granted that there is a row; InfluxDB always has
	// this one, and they hide it.
	names := append(stored, "_internal")
	names = append(names, in.databases.list()...)
	slices.Sort(names)
	names = slices.Compact(names)
	t := influxTable{Name: "databases", Columns: []string{"name"}}
	for _, n := range names {
		t.Values = append(t.Values, []string{n})
	}
	return influxResult{Series: []influxTable{t}}
}

func (in *Ingest) createDatabase(word string) influxResult {
	name := unquote(word)
	if name == "" || len(name) > maxIdentifiers || !textOK([]byte(name)) {
		return influxResult{Error: "invalid name"}
	}
	if !in.databases.create(name) {
		return influxResult{Error: "too many databases without samples"}
	}
	return influxResult{}
}

// dropDatabase forgets a name. A database that holds samples stays: its
// samples go by retention or by deleting their series.
func (in *Ingest) dropDatabase(ctx context.Context, word string) influxResult {
	name := unquote(word)
	stored, err := in.storedDatabases(ctx)
	if err != nil {
		return influxResult{Error: err.Error()}
	}
	if slices.Contains(stored, name) {
		return influxResult{Error: "database " + name + " holds samples and was not dropped: nothing was deleted"}
	}
	in.databases.drop(name)
	return influxResult{}
}

// storedDatabases returns the databases that have samples.
func (in *Ingest) storedDatabases(ctx context.Context) ([]string, error) {
	if in.opts.InfluxDBLabel == "" {
		return nil, nil
	}
	db, err := in.opts.DB()
	if err != nil {
		return nil, err
	}
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	names, _, err := v.LabelValues(ctx, tenant, in.opts.InfluxDBLabel, model.AllTime, 0)
	return names, err
}

// splitStatements cuts a query into statements and those into words. Quoted
// words keep their quotes.
func splitStatements(q string) [][]string {
	var statements [][]string
	var words []string
	end := func() {
		if len(words) > 0 {
			statements, words = append(statements, words), nil
		}
	}
	for i := 0; i < len(q); {
		switch c := q[i]; {
		case c == ';':
			end()
			i++
		case c <= ' ':
			i++
		case c == '"' || c == '\'':
			j := i + 1
			for j < len(q) && q[j] != c {
				if q[j] == '\\' {
					j++
				}
				j++
			}
			j = min(j+1, len(q))
			words, i = append(words, q[i:j]), j
		default:
			j := i
			for j < len(q) && q[j] > ' ' && q[j] != ';' && q[j] != '"' && q[j] != '\'' {
				j++
			}
			words, i = append(words, q[i:j]), j
		}
	}
	end()
	return statements
}

// unquote returns the identifier that a word of a statement stands for.
func unquote(word string) string {
	if len(word) < 2 || word[0] != '"' || word[len(word)-1] != '"' {
		return word
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(word[1 : len(word)-1])
}
