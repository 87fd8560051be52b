package transfer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// unitDone is the position at the end of a unit.
const unitDone = -1

// State records in a file how far a transfer is. A nil State records nothing.
type State struct {
	name string
	file stateFile
}

type stateFile struct {
	Version int    `json:"version"`
	What    string `json:"what"` // source and target
	// Units are the positions that were reached, by unit; -1 is the end.
	Units map[string]int64 `json:"units"`
}

const stateVersion = 1

// OpenState reads the state in a file, or begins one if there is none. what identifies
// source and target: a file of another transfer is refused.
func OpenState(name, what string) (*State, error) {
	s := &State{name: name, file: stateFile{Version: stateVersion, What: what, Units: map[string]int64{}}}
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return nil, fmt.Errorf("read the state of the transfer: %w", err)
	}
	var f stateFile
	if err := json.Unmarshal(content, &f); err != nil {
		return nil, fmt.Errorf("read the state of the transfer: %s: %w", name, err)
	}
	switch {
	case f.Version != stateVersion:
		return nil, fmt.Errorf("the state of the transfer %s has version %d, want %d", name, f.Version, stateVersion)
	case f.What != what:
		return nil, fmt.Errorf("%s is the state of another transfer: %s; this one is %s", name, f.What, what)
	}
	if f.Units != nil {
		s.file = f
	}
	return s, nil
}

func (s *State) position(unit string) (int64, bool) {
	if s == nil {
		return 0, false
	}
	pos, ok := s.file.Units[unit]
	return pos, ok
}

func (s *State) set(unit string, pos int64) {
	if s != nil {
		s.file.Units[unit] = pos
	}
}

// save replaces the file: after a crash it holds this state or the one before.
func (s *State) save() (err error) {
	if s == nil {
		return nil
	}
	content, err := json.MarshalIndent(s.file, "", " ")
	if err != nil {
		return err
	}
	temp := s.name + ".tmp"
	defer func() {
		if err != nil {
			err = fmt.Errorf("record the state of the transfer: %w", err)
		}
	}()
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append(content, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temp, s.name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(s.name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
