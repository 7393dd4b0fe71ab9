// Needed by the Prisma command line only. The application never reads it.
import { defineConfig } from 'prisma/config';

export default defineConfig({ schema: 'prisma/schema.prisma' });
