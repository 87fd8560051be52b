package influx

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/internal/model"
)

const (
	maxDatabases       = 1024    // created by CREATE DATABASE
	maxStatements      = 100     // of one query
	maxQueryBytes      = 1 << 20 // of a query in a form
	maxIdentifierBytes = 255     // bytes of a database's name
)

// ping serves InfluxDB's ping.
func (h *Handler) ping(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect1, http.MethodGet, http.MethodHead) {
		return
	}
	h.setHeaders(w, r)
	if v := r.URL.Query().Get("verbose"); v == "" || v == "0" || v == "false" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, map[string]string{"version": h.version()})
}

// health serves InfluxDB's health check.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodGet, http.MethodHead) {
		return
	}
	h.setHeaders(w, r)
	health := struct {
		Name    string   `json:"name"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
		Checks  []string `json:"checks"`
		Version string   `json:"version"`
		Commit  string   `json:"commit"`
	}{"influxdb", "ready for queries and writes", "pass", []string{}, h.version(), ""}
	status := http.StatusOK
	if err := h.healthy(); err != nil {
		health.Message, health.Status, status = err.Error(), "fail", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	writeJSON(w, health)
}

// ready serves InfluxDB's readiness check.
func (h *Handler) ready(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect2, http.MethodGet, http.MethodHead) {
		return
	}
	if _, err := h.opts.DB(); err != nil {
		h.fail(w, r, dialect2, http.StatusServiceUnavailable, err.Error())
		return
	}
	h.setHeaders(w, r)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	writeJSON(w, struct {
		Status  string    `json:"status"`
		Started time.Time `json:"started"`
		Up      string    `json:"up"`
	}{"ready", h.started.UTC(), h.shared.Clock.Now().Sub(h.started).String()})
}

// refuseMethod answers OPTIONS and requests whose method is not allowed. It
// reports whether it has written a response.
func (h *Handler) refuseMethod(w http.ResponseWriter, r *http.Request, d dialect, allowed ...string) bool {
	if slices.Contains(allowed, r.Method) {
		return false
	}
	w.Header().Set("Allow", strings.Join(append(allowed, http.MethodOptions), ", "))
	if r.Method == http.MethodOptions {
		h.setHeaders(w, r)
		w.WriteHeader(http.StatusNoContent)
		return true
	}
	h.fail(w, r, d, http.StatusMethodNotAllowed, "method not allowed")
	return true
}

// The response of /query.
type (
	results struct {
		Results []result `json:"results"`
	}
	result struct {
		StatementID int       `json:"statement_id"`
		Series      []table   `json:"series,omitempty"`
		Messages    []message `json:"messages,omitempty"`
		Error       string    `json:"error,omitempty"`
	}
	table struct {
		Name    string   `json:"name,omitempty"`
		Columns []string `json:"columns"`
		Values  [][]any  `json:"values"`
	}
	message struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	}
)

// query executes the statements that clients send before they write: SHOW,
// CREATE and DROP DATABASE, SHOW, CREATE, ALTER and DROP RETENTION POLICY; and those
// that delete: DROP MEASUREMENT, DROP SERIES, DELETE.
// Statements that change state require POST, so that a link or an image in a web
// page cannot run them. Data are queried in PromQL.
func (h *Handler) query(w http.ResponseWriter, r *http.Request) {
	if h.refuseMethod(w, r, dialect1, http.MethodGet, http.MethodPost) {
		return
	}
	charge, err := h.shared.Budget.ParseForm(w, r, reqbody.Limit{Bytes: maxQueryBytes})
	switch {
	case err == nil:
		defer charge.Release()
	case errors.Is(err, reqbody.ErrTooLarge), door.Retryable(err):
		h.failWith(w, r, dialect1, err)
		return
	default:
		h.fail(w, r, dialect1, http.StatusBadRequest, "error parsing form values: "+err.Error())
		return
	}
	statements := splitStatements(r.Form.Get("q"))
	switch {
	case len(statements) == 0:
		h.fail(w, r, dialect1, http.StatusBadRequest, `missing required parameter "q"`)
		return
	case len(statements) > maxStatements:
		h.fail(w, r, dialect1, http.StatusBadRequest, "too many statements in one query")
		return
	}
	memory := &shownMemory{charge: h.shared.Budget.NewCharge()}
	defer memory.charge.Release()
	answer := results{Results: make([]result, len(statements))}
	for i, s := range statements {
		if r.Method != http.MethodPost && !strings.EqualFold(s[0], "show") && !strings.EqualFold(s[0], "select") {
			answer.Results[i].Error = door.Clip(strings.Join(s, " "), door.MaxExcerptBytes) + " is not done in a read only context, please use a POST request instead"
		} else {
			answer.Results[i] = h.execute(r.Context(), s, r.Form.Get("db"), memory)
		}
		answer.Results[i].StatementID = i
	}
	h.setHeaders(w, r)
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, answer)
}

// execute executes a statement. db is the database named by the request.
func (h *Handler) execute(ctx context.Context, words []string, db string, memory *shownMemory) result {
	is := func(keywords ...string) bool {
		return len(words) >= len(keywords) && slices.EqualFunc(words[:len(keywords)], keywords, strings.EqualFold)
	}
	switch {
	case is("show", "databases") && len(words) == 2:
		return h.showDatabases(ctx)
	case is("create", "database") && len(words) >= 3:
		return h.createDatabase(words[2])
	case is("drop", "database") && len(words) == 3:
		return h.dropDatabase(ctx, words[2])
	case is("drop", "measurement"):
		return h.deleteStatement(ctx, "DROP MEASUREMENT", words[2:], db)
	case is("drop", "series"):
		return h.deleteStatement(ctx, "DROP SERIES", words[2:], db)
	case is("delete"):
		return h.deleteStatement(ctx, "DELETE", words[1:], db)
	case is("show", "retention", "policies") && len(words) == 3:
		return h.showPolicies(db)
	case is("show", "retention", "policies", "on") && len(words) == 5:
		return h.showPolicies(unquote(words[4]))
	case is("create", "retention", "policy"):
		return h.setPolicy(words[3:], false)
	case is("alter", "retention", "policy"):
		return h.setPolicy(words[3:], true)
	case is("drop", "retention", "policy"):
		return h.dropPolicy(words[3:])
	}
	if len(words) > 1 && is("show") {
		if s, known, err := h.parseShow(words[1:], db); err != nil {
			return result{Error: "error parsing query: " + err.Error()}
		} else if known {
			return s.execute(ctx, h, memory)
		}
	}
	return result{Error: "not supported: this path answers SHOW DATABASES, MEASUREMENTS, TAG KEYS, TAG VALUES, FIELD KEYS, SERIES and RETENTION POLICIES, CREATE and DROP DATABASE and RETENTION POLICY, DROP MEASUREMENT, DROP SERIES and DELETE; data are queried in PromQL on /api/v1/query"}
}

func (h *Handler) showDatabases(ctx context.Context) result {
	stored, err := h.storedDatabases(ctx)
	if err != nil {
		return result{Error: err.Error()}
	}
	// Clients expect at least one row. InfluxDB always has this one, and
	// clients hide it.
	names := append(stored, "_internal")
	names = append(names, h.databases.list()...)
	slices.Sort(names)
	names = slices.Compact(names)
	t := table{Name: "databases", Columns: []string{"name"}}
	for _, n := range names {
		t.Values = append(t.Values, []any{n})
	}
	return result{Series: []table{t}}
}

func (h *Handler) createDatabase(word string) result {
	name := unquote(word)
	if !validName(name) {
		return result{Error: "invalid name"}
	}
	if !h.databases.create(name) {
		return result{Error: "too many databases without samples"}
	}
	return result{}
}

func validName(s string) bool {
	return s != "" && len(s) <= maxIdentifierBytes && validText([]byte(s))
}

// storedDatabases returns the names of the databases that have samples.
func (h *Handler) storedDatabases(ctx context.Context) ([]string, error) {
	if h.opts.DBLabel == "" {
		return nil, nil
	}
	db, err := h.opts.DB()
	if err != nil {
		return nil, err
	}
	tenant, err := db.Tenant(h.opts.Tenant)
	if err != nil {
		return nil, err
	}
	v, err := db.View()
	if err != nil {
		return nil, err
	}
	defer v.Release()
	names, _, err := v.LabelValues(ctx, tenant, h.opts.DBLabel, model.AllTime, 0)
	return names, err
}

// splitStatements splits a query into statements, and each statement into words.
// Quoted words keep their quotes.
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
				if q[j] == '/' && (j == i || q[j-1] == '~' || q[j-1] == ',' || q[j-1] == '.') {
					j = regexpEnd(q, j)
				} else {
					j++
				}
			}
			words, i = append(words, q[i:j]), j
		}
	}
	end()
	return statements
}

// regexpEnd returns the end of the regular expression at q[i], which is a slash.
func regexpEnd(q string, i int) int {
	for j := i + 1; j < len(q); j++ {
		switch q[j] {
		case '\\':
			j++
		case '/':
			return j + 1
		}
	}
	return len(q)
}

// unquote returns the identifier in a word, which may be quoted.
func unquote(word string) string {
	if len(word) < 2 || word[0] != '"' || word[len(word)-1] != '"' {
		return word
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(word[1 : len(word)-1])
}
