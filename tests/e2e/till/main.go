// The program in the pods of the end-to-end test: says, as a digest of each, what it received in its environment and as
// files, once at its start and again whenever a file is another. It prints no value.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const folder = "/run/strongroom"

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func environment() map[string]string {
	seen := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		seen[name] = digest([]byte(value))
	}
	return seen
}

// By path below the folder. The kubelet's own links and folders begin with two dots.
func files() map[string]string {
	seen := map[string]string{}
	filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || strings.HasPrefix(entry.Name(), "..") {
			if err == nil && entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if text, err := os.ReadFile(path); err == nil {
			seen[strings.TrimPrefix(path, folder+"/")] = digest(text)
		}
		return nil
	})
	return seen
}

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	said := ""
	for {
		line, _ := json.Marshal(map[string]any{"environment": environment(), "files": files(), "user": os.Getuid()})
		if string(line) != said {
			said = string(line)
			fmt.Println(said)
		}
		select {
		case <-end:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
