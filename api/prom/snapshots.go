package prom

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strconv"
	"time"

	"tsdb/storage"
)

// makeSnapshot makes a snapshot and answers with its name, as Prometheus does.
func (a *API) makeSnapshot(r *http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	var o storage.SnapshotOptions
	for name, v := range map[string]*bool{"skip_head": &o.SkipHead, "temporary": &o.Temporary} {
		if text := r.FormValue(name); text != "" {
			if *v, err = strconv.ParseBool(text); err != nil {
				return answer{}, badData(fmt.Errorf("invalid parameter %q: want true or false, not %.40q", name, text))
			}
		}
	}
	name, err := db.Snapshot(r.Context(), o)
	if err != nil {
		return answer{}, classifySnapshot(err)
	}
	return answer{data: jsonValue(map[string]string{"name": name})}, nil
}

// snapshots lists the snapshots.
func (a *API) snapshots(*http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	list, err := db.SnapshotStatus()
	if err != nil {
		return answer{}, classifySnapshot(err)
	}
	return answer{data: jsonValue(map[string]any{"snapshots": list})}, nil
}

// removeSnapshot removes a snapshot.
func (a *API) removeSnapshot(r *http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	if err := db.RemoveSnapshot(r.PathValue("name")); err != nil {
		return answer{}, classifySnapshot(err)
	}
	return answer{}, nil
}

// snapshotFiles lists the files of a snapshot.
func (a *API) snapshotFiles(r *http.Request) (answer, *apiError) {
	db, err := a.opts.DB()
	if err != nil {
		return answer{}, unavailable(err)
	}
	files, err := db.SnapshotFiles(r.PathValue("name"))
	if err != nil {
		return answer{}, classifySnapshot(err)
	}
	return answer{data: jsonValue(map[string]any{"files": files})}, nil
}

// snapshotFile sends a file of a snapshot, or ranges of it.
func (a *API) snapshotFile(w http.ResponseWriter, r *http.Request) {
	db, err := a.opts.DB()
	if err != nil {
		writeError(w, unavailable(err))
		return
	}
	f, err := db.OpenSnapshotFile(r.PathValue("name"), r.PathValue("path"))
	if err != nil {
		writeError(w, classifySnapshot(err))
		return
	}
	defer func() { _ = f.Close() }() // it was only read
	size, err := f.Size()
	if err != nil {
		writeError(w, internal(err))
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(f, 0, size))
}

// classifySnapshot returns the error of a request about snapshots.
func classifySnapshot(err error) *apiError {
	switch {
	case errors.Is(err, storage.ErrSnapshotName), errors.Is(err, storage.ErrSnapshotInUse):
		return badData(err)
	case errors.Is(err, fs.ErrNotExist):
		e := badData(errors.New("no such snapshot, or no such file in it: it may have been removed, as temporary ones are when free disk space is short or nobody has read them for six hours"))
		e.code, e.kind = http.StatusNotFound, "not_found"
		return e
	}
	return classifyWork(err)
}
