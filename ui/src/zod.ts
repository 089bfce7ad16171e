import { z } from 'zod';

// Before the first schema is made: the page's policy forbids code made from text, which zod would try first.
z.config({ jitless: true });
